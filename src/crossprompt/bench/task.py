"""Task of an engine: one training, and the results of all its cells."""

import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from threadpoolctl import threadpool_limits

from crossprompt.bench.grid import Cell
from crossprompt.bench.run_cell import NotApplicableError, Training, prepare
from crossprompt.clip.model import CLIP
from crossprompt.errors import CrosspromptError
from crossprompt.utils.progress import StepReport
from crossprompt.utils.text import one_line

OnStep: TypeAlias = Callable[[StepReport], None] | None


@dataclass(frozen=True)
class Task:
    """Cells of one training, and how to compute them."""

    cells: tuple[Cell, ...]
    """They differ in their inference mode only."""
    root: str | None
    """Folder of the data sets."""
    device: str
    threads: int
    """CPU threads, the same everywhere: their number changes the last bits of a sum."""
    states: Path
    """Folder for the checkpoint of a training that may be interrupted."""

    @property
    def training(self) -> Cell:
        return self.cells[0].of_training


@dataclass(frozen=True)
class Outcome:
    """Results of a task, or its error."""

    task: Task
    lines: tuple[dict[str, Any], ...] = ()
    """One for each finished cell."""
    error: str | None = None
    """Reason for which the other cells have no line."""
    applicable: bool = True
    """False where the method or the data does not allow the protocol."""
    details: str = field(default="", repr=False)
    """Traceback of the error."""

    @property
    def unfinished(self) -> list[Cell]:
        """The cells without a line."""
        return list(self.task.cells[len(self.lines) :])


def attempt(task: Task, backbone: Callable[[Task], CLIP], on_step: OnStep = None) -> Outcome:
    """Compute a task; an error is part of the outcome."""
    lines: list[dict[str, Any]] = []
    try:
        for line in compute(task, backbone(task), on_step):
            lines.append(line)
    except Exception as error:
        applicable = not isinstance(error, NotApplicableError)
        return Outcome(task, tuple(lines), error_text(error), applicable, traceback.format_exc())
    return Outcome(task, tuple(lines))


def compute(task: Task, clip: CLIP, on_step: OnStep = None) -> Iterator[dict[str, Any]]:
    """Train once, and yield the line of every cell, see docs/benchmarks.md.

    A checkpoint is saved after each epoch, so that a task that was killed resumes; it is removed
    when the task is done or has failed.
    """
    states = task.states / task.training.digest
    with fixed_threads(task.threads):
        try:
            trained = prepare(Training(task.training, clip, task.root, on_step), states)
            for cell in task.cells:
                line = {"cell": cell.to_json(), **trained.measure(cell)}
                line["settings"]["threads"] = task.threads
                yield line
        except CrosspromptError:
            shutil.rmtree(states, ignore_errors=True)
            raise
        shutil.rmtree(states, ignore_errors=True)


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Limit the threads of torch and of other linear algebra libraries."""
    before = torch.get_num_threads()
    try:
        with threadpool_limits(count):
            torch.set_num_threads(count)
            yield
    finally:
        torch.set_num_threads(before)


def error_text(error: Exception) -> str:
    text = one_line(error)
    return text if isinstance(error, CrosspromptError) else f"{type(error).__name__}: {text}"


def group(cells: Sequence[Cell], **settings: Any) -> list[Task]:
    """One task for every training; ``settings`` are fields of ``Task``."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.of_training.key, []).append(cell)
    return [Task(tuple(members), **settings) for members in found.values()]
