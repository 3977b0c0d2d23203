"""Trained on one data set, tested on others: shifted domains, or other classes altogether."""

from collections.abc import Sequence

from crossprompt.bench.report.entries import Measured, measured
from crossprompt.bench.report.published import Column, published
from crossprompt.bench.report.records import Record, shots_in_words
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
from crossprompt.bench.report.tables import Group, Row, Table, average_of, share, slug

MAIN = "test"
"""What the test images of the data set trained on are called."""
SHIFTED = (
    "Trained on the source, tested on its own test images and on sets of the same classes that "
    "look different: accuracy in per cent, mean ± standard deviation over the seeds. The last "
    "column is the average over the shifted sets alone."
)
CROSS = (
    "Trained on one data set, tested on others with their own class names: accuracy in per cent, "
    "mean ± standard deviation over the seeds. The last column is the average over the targets "
    "alone."
)


def domain_shift(series: Sequence[Series]) -> Section | None:
    """The section on shifted test sets, if there are lines for it; also those of few-shot lines.

    Args:
        series: all of them, with all their cells.
    """
    cards = [
        *_cards(series, "domain-generalisation", "shifted"),
        *_cards(series, "few-shot", "shifted"),
    ]
    name = "domain-generalisation"
    return Section(name, "Domain generalisation", SHIFTED, tuple(cards)) if cards else None


def cross_dataset(series: Sequence[Series]) -> Section | None:
    """The section on other data sets, if there are lines for it.

    Args:
        series: all of them, with all their cells.
    """
    cards = _cards(series, "cross-dataset", "targets")
    return Section("cross-dataset", "Cross-dataset", CROSS, tuple(cards)) if cards else None


def _cards(series: Sequence[Series], protocol: str, kind: str) -> list[Card]:
    found = of_protocol(series, protocol)
    cards = []
    for dataset in datasets_of(all_records(found)):
        cells = [record for record in all_records(found) if record.cell.dataset == dataset]
        shots = shots_of([record for record in cells if others_of([record])])
        tables = [
            _table(found, (protocol, dataset, count), kind, folded=count != shots[-1])
            for count in reversed(shots)
        ]
        if tables:
            title = f"from {dataset}" + (" (few-shot)" if protocol == "few-shot" else "")
            cards.append(Card(title, tuple(tables), wide=True))
    return cards


def others_of(records: Sequence[Record]) -> list[str]:
    """Names of the test sets other than that of the data set trained on, in order."""
    names = [
        outcome.name
        for record in records
        for outcome in record.outcomes
        if outcome.name not in (MAIN, record.cell.dataset)
    ]
    return list(dict.fromkeys(names))


def _table(series: Sequence[Series], where: tuple[str, str, int], kind: str, folded: bool) -> Table:
    protocol, dataset, shots = where
    cells = {one.name: list(one.of(*where).values()) for one in series}
    cells = {name: records for name, records in cells.items() if records}
    records = [record for found in cells.values() for record in found]
    seeds, others = seeds_of(all_records(series)), others_of(records)
    numbers = {name: _numbers(found, others, seeds) for name, found in cells.items()}
    lacking = {
        other: [name for name, row in numbers.items() if row[other] is None] for other in others
    }
    shared = share(lacking, "shifted sets" if kind == "shifted" else "target data sets")
    rows = [
        Row(name, (row[MAIN], *(row[other] for other in others), average_of(shared, row, seeds)))
        for name, row in numbers.items()
    ]
    rows = _with_unfinished(rows, series, where)
    asked: list[Column] = [dataset, *others, shared.names]
    quoted = published(protocol, records, asked, [dataset]) if shots == 16 else ()
    kinds = {"domain-generalisation": "Domain generalisation", "few-shot": "Shifted test sets"}
    return Table(
        name=slug(protocol, "shift" if protocol == "few-shot" else "", dataset, str(shots)),
        caption=f"{kinds.get(protocol, 'Cross-dataset')} (%), trained on {dataset}, "
        f"{shots_in_words(shots)}",
        corner="method",
        columns=(f"{dataset} (source)", *others, f"average of {kind}"),
        groups=(Group(tuple(rows)), *quoted),
        notes=(shared.note,),
        seeds=seeds,
        folded=folded,
    )


def _with_unfinished(
    rows: Sequence[Row], series: Sequence[Series], where: tuple[str, str, int]
) -> list[Row]:
    """The rows of all series that were asked for; a number that there is not is told why."""
    there, columns = {row.label: row for row in rows}, len(rows[0].entries)
    found = []
    for one in series:
        state = one.state(*where)
        if one.name in there or state is not None:
            entries = there[one.name].entries if one.name in there else (None,) * columns
            # the average is over what all have, and lacks nothing of its own
            numbers = tuple(entry or state for entry in entries[:-1])
            last = entries[-1] if one.name in there else state
            found.append(Row(one.name, (*numbers, last)))
    return found


def _numbers(
    records: Sequence[Record], others: Sequence[str], seeds: Sequence[int]
) -> dict[str, Measured | None]:
    """Test set to number, the source's own under ``MAIN``."""

    def number(*names: str) -> Measured | None:
        found = {
            record.cell.seed: outcome.accuracy
            for record in records
            for outcome in record.outcomes
            if outcome.name in names
        }
        return measured(found, seeds)

    source = number(MAIN, records[0].cell.dataset)
    return {MAIN: source, **{other: number(other) for other in others}}
