"""What a person sees: messages and progress on standard error, answers on standard output."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from crossprompt import distributed
from crossprompt.train import StepReport

SMOOTH = 0.05
"""Weight of a new step in the loss that the progress bar shows."""


def say_error(message: str) -> None:
    """One line on standard error."""
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(
        f"crossprompt: error: {message}"
    )


class Terminal:
    """Reports a job on standard error; only the first of several processes speaks.

    Args:
        progress: rich's display, which must be started.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._loss: float | None = None

    def say(self, text: str) -> None:
        """A sentence above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def count(self, what: str) -> Callable[[int, int], None]:
        """A bar that is called with (done, in all)."""
        return lambda done, total: self._show(what, done, total, "")

    def step(self, report: StepReport) -> None:
        """Move the training bar on."""
        old = self._loss if self._loss is not None else report.loss
        self._loss = old + SMOOTH * (report.loss - old)
        detail = f"loss {self._loss:.3f}  lr {report.lr:.2e}"
        self._show("Training", report.step, report.steps, detail)

    def _show(self, what: str, done: int, total: int, detail: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, detail=detail)
        self._progress.update(self._tasks[what], completed=done, total=total, detail=detail)


@contextmanager
def reporting() -> Iterator[Terminal]:
    """A terminal with progress bars, for as long as the job runs."""
    console = Console(stderr=True, quiet=distributed.rank() != 0 or _is_follower())
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Terminal(progress)


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """A table on standard output; numbers to the right."""
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


def warn_if_silent() -> None:
    """Say that standard input is awaited, where a person would wonder."""
    if sys.stdin.isatty():
        print("reading image paths from standard input, one a line", file=sys.stderr)


def _is_follower() -> bool:
    import os

    return int(os.environ.get("RANK", "0")) != 0
