"""Entries of a table: measured over seeds, quoted from a paper, text, or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, TypeAlias

import pandas as pd

from crossprompt.bench.report.load import STATES
from crossprompt.bench.results import deviation

MISSING = "\u2013"
"""Stands where nothing was run."""
ONE_SEED, FEWER_SEEDS = "*", "†"
"""Marks behind a number of one seed, and of fewer seeds than others."""


@dataclass(frozen=True)
class Measured:
    """Mean of an accuracy, or of a difference, over seeds; 0 to 1."""

    mean: float
    seeds: Mapping[int, float]
    """Number of each seed, in ascending order of the seeds."""
    fewer: bool = False
    """Other numbers of the report come from more seeds."""
    signed: bool = False
    """Show the sign, as of a difference."""

    @property
    def deviation(self) -> float:
        """Standard deviation of the sample of seeds (n - 1); 0 for a single seed."""
        return deviation(list(self.seeds.values()))

    @property
    def mark(self) -> str:
        if len(self.seeds) == 1:
            return ONE_SEED
        return FEWER_SEEDS if self.fewer else ""

    def number(self, seed: int | None = None) -> str:
        """The mean in per cent, or the number of one seed."""
        value = self.mean if seed is None else self.seeds[seed]
        return f"{100 * value:{'+' if self.signed else ''}.2f}"

    def spread(self) -> str:
        return f"{100 * self.deviation:.2f}"

    def __str__(self) -> str:
        return f"{self.number()} ± {self.spread()}{self.mark}"


@dataclass(frozen=True)
class Quoted:
    """A published number in per cent, with the digits that were published."""

    percent: float
    digits: int = 2

    def __str__(self) -> str:
        return f"{self.percent:.{self.digits}f}"


Entry: TypeAlias = Measured | Quoted | str | None
"""Content of a table's field; None where nothing was run."""


def plain(entry: Entry) -> str:
    return MISSING if entry is None else str(entry)


def over_seeds(seeds: Mapping[int, float], expected: int, *, signed: bool = False) -> Measured:
    """Mean over at least one seed, of ``expected`` that the protocol has elsewhere."""
    return Measured(mean(seeds.values()), dict(seeds), len(seeds) < expected, signed)


def measure(scores: pd.DataFrame, by: Sequence[str], expected: int) -> dict[Any, Measured]:
    """Accuracy of every group over its seeds, of ``expected`` that the protocol has.

    A key holds the values of the columns ``by``, and is no tuple if there is only one.
    """
    groups = scores.sort_values("seed").groupby(list(by), sort=False)[["seed", "accuracy"]]
    return {
        key: over_seeds(dict(zip(seeds, values, strict=True)), expected)
        for key, seeds, values in groups.agg(list).itertuples()
    }


def average(
    scores: pd.DataFrame, column: str, names: Sequence[str], by: Sequence[str]
) -> pd.DataFrame:
    """Mean of each seed over the test sets ``names`` in a column, where it has all of them."""
    groups = scores[scores[column].isin(names)].groupby([*by, "seed"], sort=False)
    found = groups.accuracy.agg(list).reset_index()
    complete = found[found.accuracy.map(len) == len(names)]
    return complete.assign(accuracy=complete.accuracy.map(mean))


def harmonic(base: Measured, new: Measured) -> Measured:
    """Harmonic mean of two means, as papers report it; its seeds have their own."""

    def of(base: float, new: float) -> float:
        return 2 * base * new / (base + new) if base + new else 0.0

    seeds = {
        seed: of(base.seeds[seed], new.seeds[seed]) for seed in base.seeds if seed in new.seeds
    }
    return Measured(of(base.mean, new.mean), seeds, base.fewer or new.fewer)


def minus(left: Measured | None, right: Measured | None) -> Measured | None:
    """Difference of each seed that both have."""
    if left is None or right is None:
        return None
    seeds = {s: value - right.seeds[s] for s, value in left.seeds.items() if s in right.seeds}
    return over_seeds(seeds, len(left.seeds), signed=True) if seeds else None


def states(scores: pd.DataFrame, by: Sequence[str]) -> dict[Any, str]:
    """Status of the runs without a result in every group, the first of ``STATES`` if several."""
    groups = scores[scores.accuracy.isna()].groupby(list(by)).state.agg(list)
    return groups.map(lambda found: min(found, key=list(STATES.values()).index)).to_dict()
