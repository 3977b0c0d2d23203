"""Processes that are killed while they compute."""

import os
import signal
import time
from pathlib import Path

import pytest
from joblib.externals.loky.backend.context import get_context
from joblib.externals.loky.process_executor import ProcessPoolExecutor

from crossprompt.bench.engines import Local
from crossprompt.bench.task import Outcome, Task
from crossprompt.utils.progress import Silent
from tests.bench.cells import a_cell, a_task

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
    pytest.mark.filterwarnings("ignore:`fork` start method should not be used"),
]
UNLUCKY, LATE = 13, 7


def die_or_answer(task: Task, backbone: object) -> Outcome:
    """Tasks of one seed kill their process; one that was begun twice is done."""
    folder = task.states
    folder.mkdir(parents=True, exist_ok=True)
    seed, count = task.training.seed, len(list(folder.glob(f"{task.training.seed} *")))
    (folder / f"{seed} {count}").touch()
    if seed == UNLUCKY or (seed == LATE and count == 0):
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(task, ({"begun": count + 1},))


@pytest.fixture(autouse=True)
def _computed_by(monkeypatch) -> None:
    monkeypatch.setattr("crossprompt.bench.engines.attempt", die_or_answer)
    # forked, a process need not import torch, which takes seconds
    monkeypatch.setattr(
        "crossprompt.bench.engines.start_process",
        lambda: ProcessPoolExecutor(max_workers=1, context=get_context("fork")),
    )


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_own_task_alone(tmp_path: Path) -> None:
    tasks = [a_task(tmp_path, a_cell(seed=seed)) for seed in (UNLUCKY, LATE, 1, 2, 3)]
    said: list[str] = []
    listener = Silent()
    listener.say = said.append
    outcomes = {x.task.training.seed: x for x in Local(2, retries=2).run(tasks, listener)}
    assert set(outcomes) == {UNLUCKY, LATE, 1, 2, 3}
    unlucky = outcomes.pop(UNLUCKY)
    assert (unlucky.applicable, unlucky.unfinished) == (True, [tasks[0].training])
    assert "killed (3 x)" in str(unlucky.error)
    begun = {seed: outcome.lines[0]["begun"] for seed, outcome in outcomes.items()}
    assert begun == {LATE: 2, 1: 1, 2: 1, 3: 1}
    assert len([text for text in said if tasks[1].training.title in text]) == 1
    assert len(said) == 3


def test_without_retries_a_killed_task_has_failed_at_once(tmp_path: Path) -> None:
    (outcome,) = Local(2, retries=0).run([a_task(tmp_path, a_cell(seed=UNLUCKY))])
    assert "process was killed" in str(outcome.error)
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_a_run_that_is_left_ends_its_processes(tmp_path: Path) -> None:
    tasks = [a_task(tmp_path, a_cell(seed=seed)) for seed in range(4)]
    outcomes = Local(2).run(tasks)
    assert next(outcomes).error is None
    outcomes.close()
    assert list(outcomes) == []
