"""How measured accuracies are shown."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from crossprompt.utils.process import speaks
from crossprompt.utils.progress import StepReport
from crossprompt.utils.text import escape_control_characters

if TYPE_CHECKING:
    from crossprompt.classifier.evaluate import Result  # imports torch

MEMORY = 24 * 3600.0
"""Seconds that count for the time left: a step may take a minute, a training hours."""
SMOOTH = 0.05
"""Weight of a new step in the loss that the progress bar shows."""


def say_error(message: str) -> None:
    """An error on standard error, in one line unless it lists files."""
    print(f"crossprompt: error: {message}", file=sys.stderr)


class Terminal:
    """Reports a job on standard error.

    Args:
        progress: rich's display, which is started with the first bar.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._loss: float | None = None
        self._step = 0

    def say(self, text: str) -> None:
        """A sentence above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def count(self, what: str) -> Callable[[int, int | None], None]:
        """A bar to call with (done, in all), where None is a number that is not known."""
        return lambda done, total: self._show(what, done, total, "")

    def step(self, report: StepReport) -> None:
        """Move the training bar on; where steps are counted from the start again, a new one."""
        if report.step <= self._step:
            self._progress.remove_task(self._tasks.pop("Training"))
            self._loss = None
        self._step = report.step
        old = self._loss if self._loss is not None else report.loss
        self._loss = old + SMOOTH * (report.loss - old)
        speed = self._speed("Training") * report.images
        known = f"  {speed:.1f} images/s" if speed else ""  # from two steps on
        detail = f"loss {self._loss:.3f}  lr {report.lr:.2e}{known}"
        self._show("Training", report.step, report.steps, detail)

    def _speed(self, what: str) -> float:
        if what not in self._tasks:
            return 0.0
        task = next(task for task in self._progress.tasks if task.id == self._tasks[what])
        return task.speed or 0.0

    def _show(self, what: str, done: int, total: int | None, detail: str) -> None:
        if what not in self._tasks:
            self._progress.start()
            # a resumed training begins in the middle, where its speed is to be measured from
            self._tasks[what] = self._progress.add_task(
                what, total=total, completed=max(done - 1, 0), detail=detail
            )
        self._progress.update(self._tasks[what], completed=done, total=total, detail=detail)


def build_progress(console: Console, clock: Callable[[], float] | None = None) -> Progress:
    """Bars that say how much is done and how much time is left.

    Args:
        console: where they stand.
        clock: seconds, from any moment on.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, speed_estimate_period=MEMORY, get_time=clock)


@contextmanager
def reporting() -> Iterator[Terminal]:
    """A terminal with progress bars, for as long as the job runs; silent on other processes."""
    progress = build_progress(Console(stderr=True, quiet=not speaks()))
    try:
        yield Terminal(progress)
    finally:
        if progress.tasks:  # else there is nothing to stop, not even with an empty line
            progress.stop()


def print_json(value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """A value on standard output, in one line.

    Letters stand as they are, and as escapes where standard output or a file's name, which may be
    no text in any encoding, allows nothing else.

    Args:
        value: plain.
        default: makes plain what is not.
    """
    text = json.dumps(value, ensure_ascii=False, default=default)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, default=default)
    print(text)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on standard output; numbers to the right."""
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Names and what is said of them, on standard output.

    Nothing in them is taken for markup, or for a command to the terminal.
    """
    table = Table(
        title=Text(escape_control_characters(title)), title_justify="left", show_header=False
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(escape_control_characters(value)))
    Console().print(table)


def warn_if_silent() -> None:
    """Say that standard input is awaited, where a person would wonder."""
    if sys.stdin.isatty():
        print("reading image paths from standard input, one a line", file=sys.stderr)


COLUMNS = ["images", "number", "accuracy %", "95 % interval", "macro F1 %", "ECE %"]


def show_results(results: Mapping[str, "Result"]) -> None:
    """A row per test set."""
    rows = [
        [
            name,
            result.n,
            f"{100 * result.accuracy:.1f}",
            f"{100 * result.interval[0]:.1f}-{100 * result.interval[1]:.1f}",
            f"{100 * result.macro_f1:.1f}",
            f"{100 * result.ece:.1f}",
        ]
        for name, result in results.items()
    ]
    print_table("Accuracy", COLUMNS, rows)


def show_classes(results: Mapping[str, "Result"]) -> None:
    """A row per class, a column per test set; a class without images there has none."""
    names = dict.fromkeys(name for result in results.values() for name in result.per_class)
    rows = [[name, *(_share(result, name) for result in results.values())] for name in names]
    print_table("Accuracy of every class in %", ["class", *results], rows)


def _share(result: "Result", name: str) -> str:
    return f"{100 * result.per_class[name]:.1f}" if name in result.per_class else "-"
