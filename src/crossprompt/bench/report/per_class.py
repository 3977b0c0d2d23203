"""Accuracy of every class, at the most shots."""

from collections.abc import Sequence

from crossprompt.bench.report.entries import measured
from crossprompt.bench.report.records import PROTOCOLS, Record, shots_in_words
from crossprompt.bench.report.sections import (
    Card,
    Section,
    all_records,
    datasets_of,
    of_protocol,
    seeds_of,
    shots_of,
)
from crossprompt.bench.report.series import Series
from crossprompt.bench.report.tables import Group, Row, Table, slug

TEXT = (
    "Share of each class's test images that are right, in per cent, at the most shots: mean ± "
    "standard deviation over the seeds."
)


def per_class(series: Sequence[Series]) -> Section | None:
    """The section, if any line tells classes apart.

    Args:
        series: all of them, with all their cells.
    """
    tables = {protocol: _tables(series, protocol) for protocol in PROTOCOLS}
    cards = [Card(name, tuple(found), wide=True) for name, found in tables.items() if found]
    return Section("per-class", "Per class", TEXT, tuple(cards)) if cards else None


def _tables(series: Sequence[Series], protocol: str) -> list[Table]:
    found = of_protocol(series, protocol)
    tables = []
    for dataset in datasets_of(all_records(found)):
        cells = [record for record in all_records(found) if record.cell.dataset == dataset]
        shots = shots_of(cells)[-1]
        by_series = {one.name: list(one.of(protocol, dataset, shots).values()) for one in found}
        by_series = {name: records for name, records in by_series.items() if records}
        sets = [out.name for records in by_series.values() for r in records for out in r.outcomes]
        where = (protocol, dataset, shots_in_words(shots))
        tables += [_table(where, name, by_series) for name in dict.fromkeys(sets)]
    return [table for table in tables if table is not None]


def _table(
    where: tuple[str, str, str], test: str, by_series: dict[str, list[Record]]
) -> Table | None:
    seeds = seeds_of([record for records in by_series.values() for record in records])
    shares = {name: _shares(records, test) for name, records in by_series.items()}
    classes = dict.fromkeys(name for found in shares.values() for name in found)
    if not classes:
        return None
    rows = [
        Row(name, tuple(measured(found.get(name, {}), seeds) for found in shares.values()))
        for name in classes
    ]
    protocol, dataset, shots = where
    return Table(
        name=slug("per-class", protocol, dataset, test),
        caption=f"Accuracy of every class (%), {protocol} on {dataset}, {shots}, {test} images",
        corner="class",
        columns=tuple(shares),
        groups=(Group(tuple(rows)),),
        seeds=seeds,
        best=False,
        folded=True,
        every_seed=False,
    )


def _shares(records: Sequence[Record], test: str) -> dict[str, dict[int, float]]:
    """Class to seed to share."""
    found: dict[str, dict[int, float]] = {}
    for record in records:
        outcome = record.outcome(test)
        for name, share in outcome.per_class.items() if outcome is not None else ():
            found.setdefault(name, {})[record.cell.seed] = share
    return found
