"""Contents of a report, before it is written in any format."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crossprompt.bench.report import protocols
from crossprompt.bench.report.entries import FEWER_SEEDS, MISSING, ONE_SEED, Measured
from crossprompt.bench.report.inference import inference
from crossprompt.bench.report.load import STATES, Results, count_shots
from crossprompt.bench.report.series import arrange, canonical, seeds_of
from crossprompt.bench.report.tables import Card, Group, Section, Table, section, with_unique_names


@dataclass(frozen=True)
class SeriesSettings:
    """Everything that the numbers of one series depend on."""

    name: str
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, Mapping[str, Any]], ...]
    """Protocol, data sets and shots of runs, with their common settings without the seed."""


@dataclass(frozen=True)
class Report:
    """Sections of tables and pictures, and where they come from."""

    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    descriptions: tuple[SeriesSettings, ...]

    @property
    def tables(self) -> list[Table]:
        return [table for part in self.sections for table in part.tables]


def build_report(results: Results) -> Report:
    """Arrange the runs of a results folder in sections."""
    records = results.records
    scores = arrange(records, results.unfinished)
    runs = scores[scores.main]
    sections = [
        protocols.few_shot(scores),
        protocols.domain_shift(scores),
        protocols.base_to_new(scores),
        protocols.cross_dataset(scores),
        inference(records),
        protocols.per_class(scores),
        reasons(scores),
    ]
    states = results.unfinished.state.value_counts(sort=False)
    facts = {
        "finished cells": f"{len(records):,}",
        **{f"{state} cells": f"{number:,}" for state, number in states.items()},
        "methods": ", ".join(runs.method.unique()),
        "backbones": ", ".join(sorted(records.backbone.unique())),
        "trained on": ", ".join(sorted(records.dataset.unique())),
        "seeds": ", ".join(map(str, sorted(records.seed.unique()))),
    }
    return Report(
        tuple(facts.items()),
        results.notes,
        tuple(with_unique_names(part for part in sections if part is not None)),
        tuple(
            series_settings(str(name), found) for name, found in runs.groupby("series", sort=False)
        ),
    )


def legend(tables: Sequence[Table]) -> list[tuple[str, str]]:
    """Marks that occur in the tables, with their meanings."""
    rows = [row for table in tables for row in table.rows]
    entries = [entry for row in rows for entry in row.entries]
    marks = {entry.mark for entry in entries if isinstance(entry, Measured)}
    best = any(any(row.best) for row in rows)
    found = [
        (MISSING, "not run; among published numbers: not known to us", None in entries),
        (ONE_SEED, "one seed: its deviation is not known and stands as 0", ONE_SEED in marks),
        (FEWER_SEEDS, "fewer seeds than other numbers here", FEWER_SEEDS in marks),
        ("bold", "the highest mean we measured in its column, by however little", best),
    ]
    return [(mark, meaning) for mark, meaning, there in found if there]


def series_settings(name: str, runs: pd.DataFrame) -> SeriesSettings:
    """Settings, weights, data, versions and machines of all runs of a series."""
    seconds = pd.DataFrame(list(runs.seconds)).fillna(0.0).mean()
    first = runs.iloc[0]
    facts = {
        "method": first.method,
        "backbone": first.backbone,
        "computed in": first["dtype"],
        "inference": first.rule,
        "weights (hash)": _each(runs.weights_hash),
        "data (fingerprints)": _each(runs.dataset + ": " + runs.data_fingerprint),
        "seeds": _each(runs.seed),
        "trained parameters": _range(runs.trained_parameters),
        "classifier": f"{_range(runs.classifier_bytes)} bytes",
        "seconds": ", ".join(f"{name} {value:,.1f}" for name, value in seconds.items()),
        "versions": _each(f"{k} {v}" for versions in runs.versions for k, v in versions.items()),
        "machine": _each(runs.machine),
    }
    given = [_without_seed(settings) for settings in runs.settings]
    groups = runs.assign(settings=given).groupby(list(map(canonical, given)), sort=False)
    settings = [
        (f"{_each(x.protocol)}: {_each(x.dataset)}; {_shots(x)}", x.settings.iat[0])
        for _, x in groups
    ]
    return SeriesSettings(name, tuple(facts.items()), tuple(settings))


def reasons(scores: pd.DataFrame) -> Section | None:
    """The list of runs without a result, if there are any."""
    found = scores[scores.accuracy.isna()]
    order = list(STATES.values())
    found = found.sort_values("state", key=lambda states: states.map(order.index), kind="stable")
    # runs that differ only in shots, seed and targets stand together
    groups = found.groupby(["state", "series", "protocol", "dataset", "reason"], sort=False)
    rows = []
    for (state, _, protocol, dataset, reason), group in groups:
        seeds = seeds_of(group)
        word = "seed" if len(seeds) == 1 else "seeds"
        runs = f"{len(group)}: {_shots(group)}, {word} {_each(seeds)}"
        rows.append([protocol, dataset, runs, state, reason])
    columns = ["protocol", "trained on", "cells", "what became of them", "why"]
    names = pd.Index([series for (_, series, *_), _ in groups], name="method")
    table = Table(
        name="unfinished",
        caption="Cells without a result",
        groups=(Group(pd.DataFrame(rows, names, columns, dtype=object)),),
        seeds=seeds_of(found),
        best=False,
        every_seed=False,
        sentences=True,
    )
    return section("unfinished", [Card("", (table,), wide=True)] if rows else [])


def _without_seed(settings: Mapping[str, Any]) -> dict[str, Any]:
    training = {k: v for k, v in dict(settings.get("training", {})).items() if k != "seed"}
    return {**settings, "training": training}


def _shots(runs: pd.DataFrame) -> str:
    return count_shots(*sorted(runs.shots.unique()))


def _each(values: Iterable[Any]) -> str:
    """Every value once, in order."""
    return ", ".join(dict.fromkeys(map(str, values)))


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
