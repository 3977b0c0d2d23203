"""What an engine computes: one training, and every cell that is asked of its result."""

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
from crossprompt.bench.joint import TrainedTogether, prepare_together
from crossprompt.bench.loaders import parts_of
from crossprompt.bench.run_cell import Asked, NotApplicableError, Trained, prepare
from crossprompt.clip.model import CLIP
from crossprompt.errors import CrosspromptError
from crossprompt.utils.progress import StepReport
from crossprompt.utils.text import one_line

OnStep: TypeAlias = Callable[[StepReport], None] | None
"""Who is told of every step of a training, if anybody."""


@dataclass(frozen=True)
class Task:
    """Cells of one training, and how to compute them."""

    cells: tuple[Cell, ...]
    """They differ in nothing but how the trained method is asked."""
    root: str | None
    """Folder of the data sets."""
    device: str
    """Where to compute."""
    threads: int
    """Of the CPU: their number changes the last bits of a sum, so it is the same everywhere."""
    states: Path
    """Folder for the state of a training that may be interrupted."""

    @property
    def training(self) -> Cell:
        """Stands for what its cells share."""
        return self.cells[0].of_training


@dataclass(frozen=True)
class Outcome:
    """What came of a task."""

    task: Task
    """Which."""
    lines: tuple[dict[str, Any], ...] = ()
    """One for each finished cell."""
    error: str | None = None
    """Why the other cells have none."""
    applicable: bool = True
    """False where the error is that the method cannot do what the protocol asks."""
    details: str = field(default="", repr=False)
    """The error's traceback."""

    @property
    def unfinished(self) -> list[Cell]:
        """The cells without a line."""
        return list(self.task.cells[len(self.lines) :])


def attempt(task: Task, backbone: Callable[[Task], CLIP], on_step: OnStep = None) -> Outcome:
    """Compute a task; what goes wrong is part of the outcome.

    Args:
        task: what to compute.
        backbone: where the frozen CLIP comes from.
        on_step: called after every step of the training.
    """
    lines: list[dict[str, Any]] = []
    try:
        for line in compute(task, backbone(task), on_step):
            lines.append(line)
    except Exception as error:
        applicable = not isinstance(error, NotApplicableError)
        return Outcome(task, tuple(lines), describe(error), applicable, traceback.format_exc())
    return Outcome(task, tuple(lines))


def compute(task: Task, clip: CLIP, on_step: OnStep = None) -> Iterator[dict[str, Any]]:
    """Train once, and yield the line of every cell.

    The training's state is kept after each epoch, so that a task that was killed goes on from
    there; it is removed when the task is done or has failed.
    """
    states = task.states / task.training.digest
    with fixed_threads(task.threads):
        asked = Asked(task.training, clip, task.root, on_step)
        together = len(parts_of(task.training.dataset)) > 1
        try:
            trained = prepare_together(asked, states) if together else prepare(asked, states)
            for cell in task.cells:
                yield line_of(trained, cell, task)
        except CrosspromptError:
            shutil.rmtree(states, ignore_errors=True)
            raise
        shutil.rmtree(states, ignore_errors=True)


def line_of(trained: Trained | TrainedTogether, cell: Cell, task: Task) -> dict[str, Any]:
    """A cell's line, see docs/benchmarks.md."""
    line = {"cell": cell.to_json(), **trained.measure(cell)}
    line["settings"]["threads"] = task.threads
    return line


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """A number of threads for torch and everything that multiplies matrices beside it."""
    before = torch.get_num_threads()
    try:
        with threadpool_limits(count):
            torch.set_num_threads(count)
            yield
    finally:
        torch.set_num_threads(before)


def describe(error: Exception) -> str:
    """One line for the user."""
    text = one_line(error)
    return text if isinstance(error, CrosspromptError) else f"{type(error).__name__}: {text}"


def group(cells: Sequence[Cell], **settings: Any) -> list[Task]:
    """One task for every training.

    Args:
        cells: in the order of their trainings.
        settings: of every ``Task``.
    """
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.of_training.key, []).append(cell)
    return [Task(tuple(members), **settings) for members in found.values()]
