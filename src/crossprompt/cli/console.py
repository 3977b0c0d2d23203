"""Terminal output: progress bars, tables and JSON."""

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

from crossprompt.utils.process import is_main_process
from crossprompt.utils.progress import StepReport
from crossprompt.utils.text import escape_control_characters

if TYPE_CHECKING:
    from crossprompt.classifier.evaluate import Result  # imports torch

SPEED_WINDOW = 24 * 3600.0
"""Seconds over which the speed is measured: a step may take a minute, a training hours."""
SMOOTHING = 0.05
"""Weight of a new step in the loss that the progress bar shows."""


class Terminal:
    """Reports a job on standard error; rich's display is started with the first bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._loss: float | None = None
        self._step = 0

    def say(self, text: str) -> None:
        """Print a message above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def count(self, what: str) -> Callable[[int, int | None], None]:
        """A bar to call with (done, total), where the total may be unknown."""
        return lambda done, total: self._show(what, done, total, "")

    def step(self, report: StepReport) -> None:
        """Advance the training bar; a step number that starts again begins a new bar."""
        if report.step <= self._step:
            self._progress.remove_task(self._tasks.pop("Training"))
            self._loss = None
        self._step = report.step
        loss = report.loss if self._loss is None else self._loss
        self._loss = loss + SMOOTHING * (report.loss - loss)
        detail = f"loss {self._loss:.3f}  lr {report.lr:.2e}"
        for task in self._progress.tasks:
            if task.id == self._tasks.get("Training") and task.speed:  # from the second step on
                detail += f"  {task.speed * report.images:.1f} images/s"
        self._show("Training", report.step, report.steps, detail)

    def _show(self, what: str, done: int, total: int | None, detail: str) -> None:
        if what not in self._tasks:
            self._progress.start()
            # the speed of a resumed training is measured from where it resumes
            self._tasks[what] = self._progress.add_task(
                what, total=total, completed=max(done - 1, 0), detail=detail
            )
        self._progress.update(self._tasks[what], completed=done, total=total, detail=detail)


def build_progress(console: Console, clock: Callable[[], float] | None = None) -> Progress:
    """Progress bars with the remaining time; ``clock`` counts seconds."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, speed_estimate_period=SPEED_WINDOW, get_time=clock)


@contextmanager
def reporting() -> Iterator[Terminal]:
    """A terminal with progress bars while a job runs; silent except in the main process."""
    progress = build_progress(Console(stderr=True, quiet=not is_main_process()))
    try:
        yield Terminal(progress)
    finally:
        if progress.tasks:  # stopping without bars prints an empty line
            progress.stop()


def print_json(value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Print one line of JSON, with escapes for characters that standard output cannot encode."""
    text = json.dumps(value, ensure_ascii=False, default=default)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, default=default)
    print(text)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table, with all columns but the first aligned to the right."""
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left")
    for row in rows:
        table.add_row(*(_plain(str(value)) for value in row))
    Console().print(table)


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print names and texts from others: without markup and terminal sequences."""
    table = Table(title=_plain(title), title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(name, _plain(text))
    Console().print(table)


def _plain(text: str) -> Text:
    return Text(escape_control_characters(text))


def warn_if_silent() -> None:
    """Say that standard input is read, if it is a terminal."""
    if sys.stdin.isatty():
        print("reading image paths from standard input, one per line", file=sys.stderr)


def show_results(results: Mapping[str, "Result"]) -> None:
    """Print a row per test set."""
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
    columns = ["images", "number", "accuracy %", "95 % interval", "macro F1 %", "ECE %"]
    print_table("Accuracy", columns, rows)


def show_classes(results: Mapping[str, "Result"]) -> None:
    """Print a row per class and a column per test set; ``-`` for a class without images."""
    names = dict.fromkeys(name for result in results.values() for name in result.per_class)
    shares = [
        {name: f"{100 * value:.1f}" for name, value in result.per_class.items()}
        for result in results.values()
    ]
    rows = [[name, *(share.get(name, "-") for share in shares)] for name in names]
    print_table("Accuracy of every class in %", ["class", *results], rows)
