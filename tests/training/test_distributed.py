"""Two processes with two images each are one process with four."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from crossprompt.training.checkpoint import LOG, STATE
from crossprompt.utils import distributed
from crossprompt.utils import process as launcher
from tests.training.two_processes import CASES, CONFIG

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tensors trained by two processes, and by one, in every case."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-W", "error", "-m", "tests.training.two_processes", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    return folder


def load(folder: Path, name: str) -> Any:
    return torch.load(folder / f"{name}.pt", weights_only=True)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_learns_from_all_images(folder, case) -> None:
    alone, losses = load(folder, "alone")[case]
    first, losses_of_first = load(folder, "rank-0")[case]
    second, losses_of_second = load(folder, "rank-1")[case]
    assert losses_of_first == losses_of_second == pytest.approx(losses, abs=1e-5)
    for key, expected in alone.items():
        assert torch.equal(first[key], second[key]), key
        assert (first[key] - expected).abs().max() <= 1e-5, key


def test_the_rules_of_fusing_differ_so_that_the_test_tells_them_apart(folder) -> None:
    alone = load(folder, "alone")
    prompts = [alone[case][0]["image_prompt"] for case in CASES if CASES[case]["name"] == "dcp"]
    for position, prompt in enumerate(prompts):
        for other in prompts[:position]:
            assert (prompt - other).abs().max() > 1e-4


@pytest.mark.parametrize("case", CASES)
def test_one_of_the_processes_writes_the_state_and_the_log(folder, case) -> None:
    run = folder / f"run-2-{case}"
    assert sorted(os.listdir(run)) == [LOG, STATE]
    lines = [json.loads(line) for line in (run / LOG).read_text().splitlines()]
    assert len(lines) == CONFIG.epochs
    assert [line["loss"] for line in lines] == load(folder, "rank-0")[case][1]


def test_what_is_gathered_has_a_gradient_on_the_process_it_came_from(folder) -> None:
    first, second = load(folder, "numbers-0"), load(folder, "numbers-1")
    for found in (first, second):
        assert found["gathered"].tolist() == [[0, 0], [1, 1]]
        assert found["mean"] == 0.5
    # each process's loss is the same sum, so that each gradient arrives twice
    assert first["gradient"].tolist() == [2, 4]
    assert second["gradient"].tolist() == [6, 8]


def test_one_process_alone_needs_no_group() -> None:
    x = torch.nn.Parameter(torch.ones(2))
    assert distributed.join() is None
    assert (distributed.processes(), distributed.rank()) == (1, 0)
    assert distributed.gather(x).shape == (1, 2)
    assert distributed.mean(0.1) == 0.1
    x.grad = torch.ones(2)
    distributed.average_gradients([x])
    assert x.grad.tolist() == [1, 1]
    distributed.wait()
    distributed.leave()


@pytest.mark.parametrize("variable", launcher.RANKS)
def test_the_first_of_the_processes_speaks(monkeypatch, variable) -> None:
    assert launcher.is_main_process()
    monkeypatch.setenv(variable, "0")
    assert launcher.is_main_process()
    monkeypatch.setenv(variable, "1")
    assert not launcher.is_main_process()


def test_a_launch_in_vain_is_known_by_the_address_it_leaves(monkeypatch) -> None:
    assert not distributed.launcher_started_one()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert not distributed.launcher_started_one()  # one process was asked for
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert distributed.launcher_started_one()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not distributed.launcher_started_one()


def test_accelerate_launches_two_processes_on_a_cpu_by_the_command_of_the_readme(
    photos, backbone, tmp_path
) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    launch = "accelerate launch --multi_gpu --num_processes 2 -m crossprompt fit"
    assert launch in readme
    module, *words = launch.split()[1:]
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", module, *words]
    command += [str(photos), "--backbone", backbone, "--shots", "2", "--output", str(tmp_path)]
    subprocess.run([*command, "--epochs", "1", "--length", "2"], check=True, timeout=120)
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["processes"] == 2
    assert (tmp_path / "classifier.json").exists()
