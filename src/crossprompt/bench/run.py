"""Run a grid: skip what is finished, compute the rest, write each line as soon as it is known."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossprompt.bench.cell import Cell
from crossprompt.bench.engines import Engine
from crossprompt.bench.lines import Lines
from crossprompt.bench.loading import load_all
from crossprompt.bench.outcomes import FAILED, NOT_APPLICABLE, Outcomes
from crossprompt.bench.task import Outcome, group
from crossprompt.progress import NOTE, Reporter, Silent

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
