"""Cells of one training that were tested on different data sets, as one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from crossprompt.report.records import Record


def merge_targets(records: Iterable[Record]) -> list[Record]:
    """One record for all cells that differ only in their ``targets``, in the order of the first.

    Each test set is in it once: what several cells were tested on, such as the source, they have
    in common, and the first cell's result is taken.

    Args:
        records: finished cells.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_without_targets(record), []).append(record)
    return [_merged(found) for found in groups.values()]


def differing_results(records: Iterable[Record]) -> list[str]:
    """Sentences on cells that differ only in their targets, and yet in what they have in common."""
    groups: dict[str, dict[tuple[str, str], set[float]]] = {}
    for record in records:
        cell = record.cell
        found = groups.setdefault(_without_targets(record), {})
        title = f"{cell.method} trained on {cell.dataset}, seed {cell.seed}, tested on"
        for outcome in record.outcomes:
            found.setdefault((title, outcome.name), set()).add(outcome.accuracy)
    return [
        f"Lines that differ only in their targets give {len(shares)} different accuracies of "
        f"{title} {name}; the first one counts."
        for found in groups.values()
        for (title, name), shares in found.items()
        if len(shares) > 1
    ]


def _without_targets(record: Record) -> str:
    return replace(record.cell, targets=()).identity


def _merged(records: Sequence[Record]) -> Record:
    first = records[0]
    if len(records) == 1:
        return first
    outcomes = {
        outcome.name: outcome for record in reversed(records) for outcome in record.outcomes
    }
    names = dict.fromkeys(outcome.name for record in records for outcome in record.outcomes)
    targets = dict.fromkeys(name for record in records for name in record.cell.targets)
    cell = replace(first.cell, targets=tuple(targets))
    return replace(first, cell=cell, outcomes=tuple(outcomes[name] for name in names))
