"""Trained on the first half of the classes, tested on both halves."""

from collections.abc import Mapping, Sequence

from crossprompt.bench.report.entries import Measured, harmonic, measured
from crossprompt.bench.report.published import published
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
from crossprompt.bench.report.tables import Group, Row, Shared, Table, average_of, share, slug
from crossprompt.bench.report.unfinished import Unfinished

PROTOCOL = "base-to-new"
COLUMNS = ("base", "new", "harmonic mean")
TEXT = (
    "Trained on the first half of the classes (base), tested on these and, apart, on the other "
    "half (new): accuracy in per cent, mean ± standard deviation over the seeds. The harmonic mean "
    "is that of the two means in the same row, as the field reports it: of the average it is the "
    "harmonic mean of the averages, not the average of harmonic means. Its ± is the standard "
    "deviation of the seeds' own harmonic means."
)
Numbers = Mapping[str, Mapping[str, Measured | None]]
"""Series, and base or new, to the accuracy."""


def base_to_new(series: Sequence[Series]) -> Section | None:
    """The section, if there are lines for it.

    Args:
        series: all of them, with all their cells.
    """
    found = of_protocol(series, PROTOCOL)
    counts = shots_of(all_records(found))
    cards = [card for count in reversed(counts) for card in _cards(found, count)]
    return Section(PROTOCOL, "Base to new", TEXT, tuple(cards)) if cards else None


def _cards(series: Sequence[Series], shots: int) -> list[Card]:
    records = [record for record in all_records(series) if record.cell.shots == shots]
    seeds = seeds_of(records)
    series = [one for one in series if shots in {x.cell.shots for x in _cells(one)}]
    on = {name: _numbers(series, name, shots, seeds) for name in datasets_of(records)}
    cards = []
    for dataset, numbers in on.items():
        states = {one.name: one.state(PROTOCOL, dataset, shots) for one in series}
        cards.append(_card(dataset, numbers, shots, seeds, states=states))
    shared = _shared(on)
    quoted = published(PROTOCOL, records, COLUMNS, shared.names) if shots == 16 else ()
    if len(on) > 1 or quoted:
        numbers = {one.name: _average(on, one.name, shared, seeds) for one in series}
        cards.insert(0, _card("average", numbers, shots, seeds, shared.note, quoted))
    return cards


def _cells(series: Series) -> list[Record | Unfinished]:
    return [*series.records, *series.unfinished]


def _numbers(series: Sequence[Series], dataset: str, shots: int, seeds: Sequence[int]) -> Numbers:
    def number(one: Series, part: str) -> Measured | None:
        cells = one.of(PROTOCOL, dataset, shots)
        found = {seed: cell.outcome(part) for seed, cell in cells.items()}
        return measured({s: out.accuracy for s, out in found.items() if out is not None}, seeds)

    return {one.name: {part: number(one, part) for part in COLUMNS[:2]} for one in series}


def _shared(on: Mapping[str, Numbers]) -> Shared:
    run = {name for numbers in on.values() for name, row in numbers.items() if any(row.values())}
    lacking = {
        dataset: [name for name in numbers if name in run and None in numbers[name].values()]
        for dataset, numbers in on.items()
    }
    return share(lacking, "data sets")


def _average(
    on: Mapping[str, Numbers], name: str, shared: Shared, seeds: Sequence[int]
) -> dict[str, Measured | None]:
    return {
        part: average_of(shared, {ds: numbers[name][part] for ds, numbers in on.items()}, seeds)
        for part in COLUMNS[:2]
    }


def _card(
    title: str,
    numbers: Numbers,
    shots: int,
    seeds: Sequence[int],
    note: str = "",
    quoted: tuple[Group, ...] = (),
    states: Mapping[str, str | None] | None = None,
) -> Card:
    rows = []
    for name, row in numbers.items():
        found = (row["base"], row["new"], harmonic(row["base"], row["new"]))
        rows.append(Row(name, tuple(entry or (states or {}).get(name) for entry in found)))
    table = Table(
        name=slug(PROTOCOL, title, str(shots)),
        caption=f"Base to new (%), {title}, {shots_in_words(shots)}",
        corner="method",
        columns=COLUMNS,
        groups=(Group(tuple(rows)), *quoted),
        notes=(note,) if note else (),
        seeds=tuple(seeds),
    )
    return Card(f"{title}, {shots_in_words(shots)}", (table,), wide=bool(note))
