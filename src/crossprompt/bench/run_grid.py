"""Run a grid: skip what is finished, compute the rest, write each line as soon as it is known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossprompt.bench.cell_status import FAILED, NOT_APPLICABLE, Outcomes
from crossprompt.bench.engines import Engine
from crossprompt.bench.grid import Cell
from crossprompt.bench.loaders import load_backbone, load_data, parts_of
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.results import Lines
from crossprompt.bench.task import Outcome, Task, describe, group
from crossprompt.errors import RequestError
from crossprompt.utils.progress import NOTE, Reporter, Silent


def load_all(tasks: Sequence[Task], reporter: Reporter) -> tuple[list[Task], list[Outcome]]:
    """Load every data set and backbone once.

    Args:
        tasks: what will be computed.
        reporter: told what is odd about the data, and what cannot be loaded, once each.

    Returns:
        The tasks that can be computed, and the others as failed.

    Raises:
        RequestError: none can be computed.
    """
    loading = _Loading()
    problems = [loading.problem_of(task) for task in tasks]
    ready = [task for task, problem in zip(tasks, problems, strict=True) if problem is None]
    if tasks and not ready:
        raise RequestError("\n".join(loading.problems.values()))
    for what, problem in loading.problems.items():
        reporter.say(f"failed: {what} cannot be loaded, the cells without it go on: {problem}")
    for note in loading.notes:
        reporter.say(f"{NOTE}{note}")
    failed = [
        Outcome(task, error=problem)
        for task, problem in zip(tasks, problems, strict=True)
        if problem is not None
    ]
    return ready, failed


class _Loading:
    """Loads each thing once and remembers what is wrong with it."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.notes: dict[str, None] = {}
        self._done = set[str]()

    def problem_of(self, task: Task) -> str | None:
        """Why a task cannot be computed, if so."""
        cell = task.training
        others = PROTOCOLS[cell.protocol].other_datasets(cell.dataset, cell.targets)
        names = dict.fromkeys((*parts_of(cell.dataset), *others))
        found = [self._data(name, task.root) for name in names]
        found.append(self._try(f"the backbone {cell.backbone}", load_backbone, *_clip(task)))
        return "; ".join(dict.fromkeys(x for x in found if x is not None)) or None

    def _data(self, name: str, root: str | None) -> str | None:
        def load() -> None:
            notes = load_data(name, root).notes
            self.notes |= dict.fromkeys(f"{name}: {note}" for note in notes)

        return self._try(f"the data set {name}", load)

    def _try(self, what: str, load: Callable[..., Any], *given: Any) -> str | None:
        if what not in self._done:
            self._done.add(what)
            try:
                load(*given)
            except RequestError as error:
                self.problems[what] = describe(error)
        return self.problems.get(what)


def _clip(task: Task) -> tuple[str, str, str]:
    return task.training.backbone, "cpu", task.training.dtype


STATES = "cells"
"""Folder in the results for trainings that may be interrupted."""


@dataclass
class Summary:
    """What came of a grid."""

    finished_before: int = 0
    """Cells that were not computed again."""
    computed: list[Cell] = field(default_factory=list)
    """Cells with a new line."""
    not_applicable: list[tuple[Cell, str]] = field(default_factory=list)
    """Cells whose method cannot do what the protocol asks, and why."""
    failed: list[tuple[Cell, str]] = field(default_factory=list)
    """Cells without a line, and why; they are tried again by the next run."""

    def take(self, outcome: Outcome) -> None:
        """Note the cells that have no line."""
        where = self.failed if outcome.applicable else self.not_applicable
        where += [(cell, outcome.error or "") for cell in outcome.unfinished]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""

        def with_reasons(pairs: Iterable[tuple[Cell, str]]) -> list[dict[str, Any]]:
            return [{"cell": cell.to_json(), "reason": reason} for cell, reason in pairs]

        return {
            "finished_before": self.finished_before,
            "computed": len(self.computed),
            "not_applicable": with_reasons(self.not_applicable),
            "failed": with_reasons(self.failed),
        }


@dataclass(frozen=True)
class Circumstances:
    """How tasks are computed; see ``Task``."""

    root: str | None
    device: str
    threads: int


def run_grid(
    cells: list[Cell],
    output: Path,
    engine: Engine,
    circumstances: Circumstances,
    *,
    reporter: Reporter | None = None,
    on_failure: Callable[[Outcome], object] | None = None,
) -> Summary:
    """Compute every cell that is not finished.

    Args:
        cells: of the grid.
        output: results folder.
        engine: where to compute.
        circumstances: how to compute.
        reporter: told how it goes.
        on_failure: called with what failed while it was computed, at once.

    Raises:
        RequestError: no data set or no backbone can be loaded, or a line is damaged.
        JobError: nothing can be computed any more; finished lines are kept.
    """
    reporter = reporter or Silent()
    lines = Lines(output)
    finished = lines.read()
    todo = [cell for cell in cells if cell.key not in finished]
    summary = Summary(finished_before=len(cells) - len(todo))
    tasks = group(
        todo,
        root=circumstances.root,
        device=circumstances.device,
        threads=circumstances.threads,
        states=(output / STATES).absolute(),
    )
    ready, unloadable = load_all(tasks, reporter)
    outcomes = Outcomes(output)
    if todo:
        outcomes.ask(todo)

    def note_unfinished(outcome: Outcome) -> None:
        summary.take(outcome)
        state = FAILED if outcome.applicable else NOT_APPLICABLE
        outcomes.note(outcome.unfinished, state, outcome.error or "")

    for outcome in unloadable:
        note_unfinished(outcome)
    count, done = reporter.count("Cells"), len(cells) - sum(len(task.cells) for task in ready)
    if tasks:
        count(done, len(cells))
    known = Known(finished.values(), reporter)
    for outcome in engine.run(ready, reporter.say, reporter.step):
        for cell, line in zip(outcome.task.cells, outcome.lines, strict=False):
            known.compare(line)
            if lines.append(line):
                summary.computed.append(cell)
            else:  # another process was faster
                summary.finished_before += 1
        if outcome.error is not None:
            note_unfinished(outcome)
            if outcome.applicable and on_failure is not None:
                on_failure(outcome)
        done += len(outcome.task.cells)
        count(done, len(cells))
    if (output / STATES).exists() and not any((output / STATES).iterdir()):
        (output / STATES).rmdir()
    return summary


class Known:
    """Notices that results which stand side by side are of different data or weights.

    Args:
        lines: that are there already.
        reporter: told of a difference, once.
    """

    def __init__(self, lines: Iterable[Mapping[str, Any]], reporter: Reporter) -> None:
        self._reporter = reporter
        self._seen: dict[tuple[str, str], set[str]] = {}
        for line in lines:
            for key, value in self._facts(line):
                self._seen.setdefault(key, set()).add(value)

    def compare(self, line: Mapping[str, Any]) -> None:
        """Compare a new line with the others."""
        for key, value in self._facts(line):
            seen = self._seen.setdefault(key, {value})
            if value not in seen:
                seen.add(value)
                self._reporter.say(
                    f"{NOTE}{' '.join(key)} is not what it was when earlier lines were written; "
                    "for results that compare, choose a new --output"
                )

    @staticmethod
    def _facts(line: Mapping[str, Any]) -> list[tuple[tuple[str, str], str]]:
        cell = line["cell"]
        return [
            (("data set", cell["dataset"]), line.get("data_fingerprint", "")),
            (("backbone", cell["backbone"]), line.get("weights_hash", "")),
        ]
