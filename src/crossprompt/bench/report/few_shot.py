"""Accuracy against shots, for every data set and on average."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from crossprompt.bench.report.entries import Measured, measured
from crossprompt.bench.report.panels import Curve, Panel
from crossprompt.bench.report.published import published
from crossprompt.bench.report.records import shots_in_words
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

PROTOCOL = "few-shot"
TEXT = (
    "Accuracy in per cent on the test images of the data set that was trained on: mean over the "
    "seeds ± standard deviation of the sample of seeds."
)
Shots = Sequence[int]
Numbers = Mapping[str, Mapping[int, Measured | None]]
"""Series and shots to the accuracy."""
States = Mapping[str, Mapping[int, str | None]]
"""Series and shots to what became of it where there is no accuracy."""


def few_shot(series: Sequence[Series]) -> Section | None:
    """The section, if there are lines for it.

    Args:
        series: all of them, with all their cells.
    """
    found = [_with_sources(one, series) for one in of_protocol(series, PROTOCOL)]
    records = all_records(found)
    if not records:
        return None
    shots, seeds = shots_of(records), seeds_of(records)
    on = {name: _numbers(found, name, shots, seeds) for name in datasets_of(records)}
    cards = []
    for name, numbers in on.items():
        states = {one.name: {x: one.state(PROTOCOL, name, x) for x in shots} for one in found}
        cards.append(_card(name, numbers, shots, seeds, states=states))
    shared = _shared(on, {one.name for one in found if one.cell.joint})
    quoted = published(PROTOCOL, records, shots, shared.names)
    if len(on) > 1 or quoted:
        numbers = _averages(on, shared, seeds)
        cards.insert(0, _card("average", numbers, shots, seeds, shared.note, quoted))
    return Section(PROTOCOL, "Few-shot", TEXT, tuple(cards))


def _with_sources(few: Series, series: Sequence[Series]) -> Series:
    """Where a few-shot cell was not run, domain generalisation's stands in: it trained on the same
    images and was tested on the same, among others."""
    run = {(record.cell.dataset, record.cell.shots, record.cell.seed) for record in few.records}
    datasets = {dataset for dataset, _, _ in run}
    (whole,) = [one for one in series if one.name == few.name]
    instead = tuple(
        replace(record, cell=replace(record.cell, protocol=PROTOCOL))
        for record in whole.limited("domain-generalisation").records
        if record.cell.dataset in datasets
        and (record.cell.dataset, record.cell.shots, record.cell.seed) not in run
    )
    return Series(few.name, few.records + instead, few.unfinished)


def _numbers(series: Sequence[Series], dataset: str, shots: Shots, seeds: Sequence[int]) -> Numbers:
    def number(one: Series, count: int) -> Measured | None:
        cells = one.of(PROTOCOL, dataset, count)
        return measured({s: cell.outcomes[0].accuracy for s, cell in cells.items()}, seeds)

    return {one.name: {count: number(one, count) for count in shots} for one in series}


def _shared(on: Mapping[str, Numbers], joint: Collection[str]) -> Shared:
    """Data sets that every series has at each number of shots at which it has any.

    Args:
        on: numbers by data set.
        joint: series of data sets that were learned together, which have no others.
    """
    run = {
        (name, count)
        for numbers in on.values()
        for name, row in numbers.items()
        for count, number in row.items()
        if number is not None and name not in joint
    }
    return share({dataset: _lacking(numbers, run) for dataset, numbers in on.items()}, "data sets")


def _lacking(numbers: Numbers, run: Collection[tuple[str, int]]) -> list[str]:
    """Series with the shots at which they have no result, though they have some elsewhere."""
    words = []
    for name, row in numbers.items():
        missing = [count for count, number in row.items() if (name, count) in run and not number]
        if missing:
            words.append(f"{name} at {shots_in_words(*missing)}")
    return words


def _averages(on: Mapping[str, Numbers], shared: Shared, seeds: Sequence[int]) -> Numbers:
    def number(name: str, count: int) -> Measured | None:
        parts = {dataset: numbers[name][count] for dataset, numbers in on.items()}
        return average_of(shared, parts, seeds)

    rows = next(iter(on.values()))
    return {name: {count: number(name, count) for count in row} for name, row in rows.items()}


def _card(
    title: str,
    numbers: Numbers,
    shots: Shots,
    seeds: Sequence[int],
    note: str = "",
    quoted: tuple[Group, ...] = (),
    states: States | None = None,
) -> Card:
    table = Table(
        name=slug(PROTOCOL, title),
        caption=f"Few-shot accuracy (%), {title}",
        corner="method",
        columns=tuple(shots_in_words(count) for count in shots),
        groups=(_group(numbers, shots, states or {}), *quoted),
        notes=(note,) if note else (),
        seeds=tuple(seeds),
    )
    return Card(title, (table,), _panel(title, numbers, shots), wide=bool(note))


def _group(numbers: Numbers, shots: Shots, states: States) -> Group:
    """Of the series that were asked for here; a number that there is not is told why."""
    rows = []
    for name, row in numbers.items():
        instead = states.get(name, {})
        entries = tuple(row[count] or instead.get(count) for count in shots)
        rows.append(Row(name, entries))
    return Group(tuple(rows))


def _panel(title: str, numbers: Numbers, shots: Shots) -> Panel | None:
    curves = [
        Curve(name, tuple((float(count), number) for count, number in row.items() if number))
        for name, row in numbers.items()
    ]
    ticks = tuple((float(count), str(count)) for count in shots)
    kept = tuple(curve for curve in curves if curve.points)
    return Panel(title, "shots", ticks, kept) if kept else None
