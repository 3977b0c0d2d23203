"""Runs a grid: skips finished runs, computes the others, and writes every record at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from crossprompt.bench.engines import SILENT, Engine
from crossprompt.bench.grid import Cell
from crossprompt.bench.loaders import load_backbone, load_data, parts_of
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.results import Lines, Outcomes, RunState
from crossprompt.bench.task import Outcome, Task, error_text, group
from crossprompt.errors import RequestError
from crossprompt.utils.progress import NOTE, Reporter

STATES = "cells"
"""Folder in the results for the checkpoints of unfinished trainings."""


@dataclass
class Summary:
    """The outcome of a grid."""

    finished_before: int = 0
    computed: list[Cell] = field(default_factory=list)
    not_applicable: list[tuple[Cell, str]] = field(default_factory=list)
    """Runs whose method cannot do what the protocol requires, and why."""
    failed: list[tuple[Cell, str]] = field(default_factory=list)
    """Runs without a result, and why; the same command tries them again."""

    def to_json(self) -> dict[str, Any]:
        def with_reasons(pairs: list[tuple[Cell, str]]) -> list[dict[str, Any]]:
            return [{"cell": cell.to_json(), "reason": reason} for cell, reason in pairs]

        return {
            "finished_before": self.finished_before,
            "computed": len(self.computed),
            "not_applicable": with_reasons(self.not_applicable),
            "failed": with_reasons(self.failed),
        }


def run_grid(
    cells: Sequence[Cell],
    output: Path,
    engine: Engine,
    *,
    root: str | None = None,
    device: str = "cpu",
    threads: int = 1,
    reporter: Reporter = SILENT,
    on_failure: Callable[[Outcome], object] | None = None,
) -> Summary:
    """Compute every run that is not finished.

    Args:
        cells: the runs, of one or several grids.
        output: results folder.
        engine: computes them.
        root, device, threads: see ``Task``.
        reporter: receives the progress.
        on_failure: called at once with a task that failed while it was computed.

    Raises:
        RequestError: no data set or no backbone can be loaded, or a record is damaged.
        JobError: nothing can be computed any more; finished runs are kept.
    """
    results, statuses = Lines(output), Outcomes(output)
    finished = results.read()
    todo = [cell for cell in cells if cell.key not in finished]
    summary = Summary(finished_before=len(cells) - len(todo))
    states = (output / STATES).absolute()
    tasks = group(todo, root=root, device=device, threads=threads, states=states)
    ready, unloadable = load_all(tasks, reporter)
    if todo:
        statuses.ask(todo)

    def record_unfinished(outcome: Outcome) -> None:
        reason = outcome.error or ""
        pairs = summary.failed if outcome.applicable else summary.not_applicable
        pairs += [(cell, reason) for cell in outcome.unfinished]
        state: RunState = "failed" if outcome.applicable else "not applicable"
        statuses.note(outcome.unfinished, state, reason)

    for outcome in unloadable:
        record_unfinished(outcome)
    count, done = reporter.count("Cells"), len(cells) - sum(len(task.cells) for task in ready)
    if tasks:
        count(done, len(cells))
    seen: dict[str, set[str]] = {}
    for record in finished.values():
        changed_versions(record, seen)
    for outcome in engine.run(ready, reporter):
        for cell, record in zip(outcome.task.cells, outcome.lines, strict=False):
            for name in changed_versions(record, seen):
                reporter.say(
                    f"{NOTE}{name} is not what it was when earlier lines were written; for results "
                    "that compare, choose a new --output"
                )
            if results.append(record):
                summary.computed.append(cell)
            else:  # another process was faster
                summary.finished_before += 1
        if outcome.error is not None:
            record_unfinished(outcome)
            if outcome.applicable and on_failure is not None:
                on_failure(outcome)
        done += len(outcome.task.cells)
        count(done, len(cells))
    if states.exists() and not any(states.iterdir()):
        states.rmdir()
    return summary


def load_all(tasks: Sequence[Task], reporter: Reporter) -> tuple[list[Task], list[Outcome]]:
    """Load every data set and backbone once, and report problems and notes once each.

    Returns:
        The tasks that can be computed, and the others as failed.

    Raises:
        RequestError: none can be computed.
    """
    problems, notes = dict[str, str](), list[str]()

    @cache
    def problem_of(what: str, load: Callable[..., Any], *given: str | None) -> str | None:
        try:
            notes.extend(f"{given[0]}: {x}" for x in getattr(load(*given), "notes", ()))
        except RequestError as error:
            problems[what] = error_text(error)
        return problems.get(what)

    ready, failed = list[Task](), list[Outcome]()
    for task in tasks:
        cell = task.training
        others = PROTOCOLS[cell.protocol].other_datasets(cell.dataset, cell.targets)
        names = (*parts_of(cell.dataset), *others)
        backbone = (cell.backbone, "cpu", cell.dtype)
        found = [problem_of(f"the data set {x}", load_data, x, task.root) for x in names]
        found.append(problem_of(f"the backbone {cell.backbone}", load_backbone, *backbone))
        if reasons := list(filter(None, dict.fromkeys(found))):
            failed.append(Outcome(task, error="; ".join(reasons)))
        else:
            ready.append(task)
    if tasks and not ready:
        raise RequestError("\n".join(problems.values()))
    for what, problem in problems.items():
        reporter.say(f"failed: {what} cannot be loaded, the other cells are computed: {problem}")
    for note in notes:
        reporter.say(f"{NOTE}{note}")
    return ready, failed


def changed_versions(record: Mapping[str, Any], seen: dict[str, set[str]]) -> list[str]:
    """Data set and backbone of a record whose data or weights differ from those ``seen`` before."""
    versions = {
        f"data set {record['cell']['dataset']}": record.get("data_fingerprint", ""),
        f"backbone {record['cell']['backbone']}": record.get("weights_hash", ""),
    }
    known = {name: seen.setdefault(name, {version}) for name, version in versions.items()}
    changed = [name for name, version in versions.items() if version not in known[name]]
    for name in changed:
        known[name].add(versions[name])
    return changed
