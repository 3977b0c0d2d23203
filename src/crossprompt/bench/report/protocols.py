"""The sections of the protocols: accuracies of series as tables and pictures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from statistics import mean
from typing import Any, TypeAlias

import msgspec
import pandas as pd

from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.report.entries import Measured, Quoted, average, harmonic, measure, states
from crossprompt.bench.report.load import count_shots
from crossprompt.bench.report.plots import Panel
from crossprompt.bench.report.series import finished, of_protocol, seeds_of
from crossprompt.bench.report.tables import (
    Card,
    Group,
    Section,
    Table,
    average_note,
    body_of,
    section,
)

Column: TypeAlias = str | int | tuple[str, ...]
"""Name of a column in ``published.json``; several names are the average of those."""


def published(
    protocol: str, scores: pd.DataFrame, columns: Sequence[Column], averaged: Sequence[str]
) -> tuple[Group, ...]:
    """Groups of rows for a table whose numbers are the averages of the data sets ``averaged``;
    none where no data set of ``scores`` is among the published."""
    known = quotations().get(protocol)
    if known is None or not set(scores.dataset) & set(known["datasets"]):
        return ()
    groups = []
    notes = (f"The published numbers are {known['what']}.", *_notes(known, scores, averaged))
    for source in known["sources"]:
        theirs = pd.DataFrame.from_dict(source["rows"], orient="index", columns=known["columns"])
        theirs = theirs.astype(float)
        entries = {
            (method, column): Quoted(mean(row[list(names)]), source["digits"])
            for method, row in theirs.iterrows()
            for column in columns
            for names in [column if isinstance(column, tuple) else (column,)]
            if names and set(names) <= set(row.dropna().index)
        }
        title = f"{quotations()['label']} ({source['source']})"
        groups.append(Group(body_of("", theirs.index, columns, entries), title, notes))
        notes = ()  # once is enough
    return tuple(groups)


@cache
def quotations() -> dict[str, Any]:
    """Contents of ``published.json``: protocol to numbers with their sources."""
    found = files("crossprompt.bench.report").joinpath("published.json").read_bytes()
    return msgspec.json.decode(found, type=dict[str, Any])


def _notes(known: Mapping[str, Any], scores: pd.DataFrame, averaged: Sequence[str]) -> list[str]:
    """Reasons why the published numbers do not compare with ours."""
    notes = []
    same = tuple(quotations()["backbones"])
    if others := sorted(name for name in set(scores.backbone) if not name.endswith(same)):
        notes.append(
            "The published numbers are of OpenAI's CLIP ViT-B/16: rows that were measured with "
            f"another backbone ({', '.join(others)}) do not compare with them."
        )
    if set(averaged) != set(known["datasets"]):
        notes.append(
            f"Our averages are of {len(averaged)} data sets ({', '.join(averaged) or 'none'}), "
            "which are not those of the published ones."
        )
    return notes


HALVES = ["base", "new", "harmonic mean"]
MAIN = "test"
"""Name of the test images of the data set trained on."""
CAPTIONS = {"few-shot": "Few-shot accuracy", "base-to-new": "Base to new"}
SHIFTS = {
    "domain-generalisation": ("Domain generalisation", "shifted", "shifted sets"),
    "few-shot": ("Shifted test sets", "shifted", "shifted sets"),
    "cross-dataset": ("Cross-dataset", "targets", "target data sets"),
}
"""Caption of each protocol, and names for the other test sets: short, and in full."""


def few_shot(scores: pd.DataFrame) -> Section | None:
    """Accuracy against shots, for every data set and on average."""
    ours = _with_sources(scores)
    return section("few-shot", list(_per_dataset("few-shot", ours, ours[ours.main], "shots")))


def base_to_new(scores: pd.DataFrame) -> Section | None:
    """Accuracy on the classes trained on, on the others, and the harmonic mean of both."""
    ours = of_protocol(scores, "base-to-new")
    by_shots = [ours[ours.shots == x] for x in sorted(finished(ours).shots.unique(), reverse=True)]
    cards = [_per_dataset("base-to-new", found, finished(found), "test") for found in by_shots]
    return section("base-to-new", list(chain(*cards)))


def domain_shift(scores: pd.DataFrame) -> Section | None:
    """Accuracy on the source and on shifted test sets, also those of few-shot runs."""
    cards = [*_transfers(scores, "domain-generalisation"), *_transfers(scores, "few-shot")]
    return section("domain-generalisation", cards)


def cross_dataset(scores: pd.DataFrame) -> Section | None:
    """Accuracy on the source and on other data sets."""
    return section("cross-dataset", list(_transfers(scores, "cross-dataset")))


def per_class(scores: pd.DataFrame) -> Section | None:
    """Accuracy of every class, at the most shots."""
    scores = finished(scores)
    tables = {name: tuple(_classes(of_protocol(scores, name), name)) for name in PROTOCOLS}
    return section("per-class", [Card(name, t, wide=True) for name, t in tables.items() if t])


def _with_sources(scores: pd.DataFrame) -> pd.DataFrame:
    """Few-shot runs; where one is missing, that of domain generalisation stands in: it trained on
    the same images and was tested on the same, among others."""
    ours = of_protocol(scores, "few-shot")
    where = ["series", "dataset", "shots", "seed"]
    trained = set(ours[ours.main].set_index(where[:2]).index)
    sources = of_protocol(scores, "domain-generalisation")
    sources = sources[sources.main & sources.set_index(where[:2]).index.isin(trained)]
    both = pd.concat([ours, sources], ignore_index=True)
    return both[~(both.main & both.duplicated([*where, "main"]))]


def _per_dataset(
    protocol: str, ours: pd.DataFrame, scores: pd.DataFrame, by: str
) -> Iterator[Card]:
    """A card for each data set, after that of their average.

    Args:
        protocol: name of the runs' protocol.
        ours: all runs, also those without a result.
        scores: those that are shown.
        by: the columns: ``shots``, or ``test`` of runs with the same shots.
    """
    names, seeds, keys = ours.series.unique(), seeds_of(scores), ["series", by]
    few, shots = by == "shots", sorted(scores.shots.unique())
    columns = shots if few else HALVES

    def card(title: str, body: pd.DataFrame, note: str = "", quoted: Iterable[Group] = ()) -> Card:
        where = title if few else f"{title}, {count_shots(*shots)}"
        table = Table(
            name=f"{protocol} {title}" if few else f"{protocol} {title} {shots[0]}",
            caption=f"{CAPTIONS[protocol]} (%), {where}",
            groups=(Group(body.rename(columns=count_shots) if few else body), *quoted),
            notes=(note,) if note else (),
            seeds=seeds,
        )
        panel = Panel(title, "shots", body) if few else None
        return Card(where, (table,), panel if panel and panel.curves else None, wide=bool(note))

    # a joint training on several data sets has no other test sets, and none is missing
    alone = scores[scores.joint == ""]
    anywhere = alone.groupby("series")[by].agg(set)
    here = alone.groupby(["dataset", "series"])[by].agg(set)
    cards, lacking = [], {}
    for dataset, found in scores.groupby("dataset"):
        numbers = _with_harmonic(measure(found, keys, len(seeds)))
        status = states(ours[ours.dataset == dataset], keys if few else ["series"])
        cards.append(card(str(dataset), body_of("method", names, columns, numbers, status)))
        lacking[str(dataset)] = [
            f"{name} at {count_shots(*sorted(missing))}" if few else name
            for name in names
            if (missing := anywhere.get(name, set()) - here.get((dataset, name), set()))
        ]
    shared, note = average_note(lacking, "data sets")
    quoted = published(protocol, scores, columns, shared) if few or shots == [16] else ()
    if len(cards) > 1 or quoted:
        whole = average(scores, "dataset", shared, keys)
        numbers = _with_harmonic(measure(whole, keys, len(seeds)))
        yield card("average", body_of("method", names, columns, numbers), note, quoted)
    yield from cards


def _with_harmonic(numbers: dict[Any, Measured]) -> dict[Any, Measured]:
    """Numbers with the harmonic mean of base and new, where a series has both."""
    base, new, both = HALVES
    names = [name for name, column in numbers if column == base and (name, new) in numbers]
    means = {(name, both): harmonic(numbers[name, base], numbers[name, new]) for name in names}
    return numbers | means


def _transfers(scores: pd.DataFrame, protocol: str) -> Iterator[Card]:
    """Cards of what was trained on one data set and tested on others."""
    ours = of_protocol(scores, protocol)
    own = (ours.test == MAIN) | (ours.test == ours.dataset)
    ours = ours.assign(test=ours.test.where(~own, MAIN))
    for dataset, found in ours.groupby("dataset"):
        shots = sorted(finished(found)[finished(found).test != MAIN].shots.unique(), reverse=True)
        tables = tuple(
            _transfer(
                found[found.shots == count],
                (protocol, str(dataset), count),
                seeds_of(finished(ours)),
                folded=count != shots[0],
            )
            for count in shots
        )
        if tables:
            title = f"from {dataset}" + (" (few-shot)" if protocol == "few-shot" else "")
            yield Card(title, tables, wide=True)


def _transfer(
    found: pd.DataFrame, where: tuple[str, str, int], seeds: tuple[int, ...], *, folded: bool
) -> Table:
    """Table of the runs of one source and number of shots."""
    protocol, dataset, shots = where
    caption, kind, kinds = SHIFTS[protocol]
    scores, names = finished(found), finished(found).series.unique()
    others, last = [name for name in scores.test.unique() if name != MAIN], f"average of {kind}"
    numbers = measure(scores, ["series", "test"], len(seeds))
    lacking = {other: [name for name in names if (name, other) not in numbers] for other in others}
    shared, note = average_note(lacking, kinds)
    averages = average(scores, "test", shared, ["series"]).assign(test=last)
    numbers |= measure(averages, ["series", "test"], len(seeds))
    # the average is over what all have, and lacks nothing of its own
    status = states(found, ["series"])
    status |= {(name, last): None for name in names}
    body = body_of("method", found.series.unique(), [MAIN, *others, last], numbers, status)
    quotable = [dataset, *others, tuple(shared)]
    quoted = published(protocol, scores, quotable, [dataset]) if shots == 16 else ()
    return Table(
        name=f"{protocol}{' shift' * (protocol == 'few-shot')} {dataset} {shots}",
        caption=f"{caption} (%), trained on {dataset}, {count_shots(shots)}",
        groups=(Group(body.set_axis([f"{dataset} (source)", *others, last], axis=1)), *quoted),
        notes=(note,),
        seeds=seeds,
        folded=folded,
    )


def _classes(scores: pd.DataFrame, protocol: str) -> Iterator[Table]:
    """A table for each data set and test set with accuracies of classes."""
    for dataset, found in scores.groupby("dataset"):
        found = found[found.shots == found.shots.max()]
        for test, rows in found.groupby("test", sort=False):
            labels = rows.assign(label=rows.per_class.map(list)).explode("label")
            labels = labels.dropna(subset="label")
            if labels.empty:
                continue
            shares = [row.per_class[row.label] for row in labels.itertuples()]
            keys, seeds = ["label", "series"], seeds_of(found)
            numbers = measure(labels.assign(accuracy=shares), keys, len(seeds))
            body = body_of("class", labels.label.unique(), found.series.unique(), numbers)
            yield Table(
                name=f"per-class {protocol} {dataset} {test}",
                caption=f"Accuracy of every class (%), {protocol} on {dataset}, "
                f"{count_shots(found.shots.iat[0])}, {test} images",
                groups=(Group(body),),
                seeds=seeds,
                best=False,
                folded=True,
                every_seed=False,
            )
