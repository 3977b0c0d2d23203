"""Cells of one training that were tested on different data sets as one, and one of several data
sets as several."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from crossprompt.bench.loaders import JOINT
from crossprompt.bench.report.records import Outcome, Record


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


def split_joint(records: Iterable[Record]) -> list[Record]:
    """A record for each data set of those that were learned together; the others as they are.

    Args:
        records: finished cells; what several data sets share, such as the seconds, all have.
    """
    return [part for record in records for part in _parts(record)]


def _parts(record: Record) -> list[Record]:
    by_dataset: dict[str, list[Outcome]] = {}
    for outcome in record.outcomes:
        by_dataset.setdefault(outcome.dataset, []).append(outcome)
    joint = record.cell.dataset
    if len(by_dataset) == 1 or JOINT.join(by_dataset) != joint:
        return [record]
    return [
        replace(
            record,
            cell=replace(record.cell, dataset=dataset, joint=joint),
            outcomes=tuple(outcomes),
            data_fingerprint=fingerprint,
        )
        for (dataset, outcomes), fingerprint in zip(
            by_dataset.items(), record.data_fingerprint.split(JOINT), strict=True
        )
    ]


def _without_targets(record: Record) -> str:
    return replace(record.cell, targets=()).key


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
