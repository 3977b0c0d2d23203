"""What stands in a table: measured over seeds, quoted from a paper, text, or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TypeAlias

from crossprompt.bench.stats import deviation

DIGITS = 2
"""Of a percentage, after the point."""
MISSING = "\u2013"
"""Stands where nothing was run."""
ONE_SEED, FEWER_SEEDS = "*", "†"
"""Behind a number whose deviation is not known, or that comes from fewer seeds than others."""


@dataclass(frozen=True)
class Measured:
    """A number over seeds, 0 to 1."""

    mean: float
    """Over the seeds, unless it is said otherwise."""
    seeds: Mapping[int, float]
    """Seed to its number."""
    fewer: bool = False
    """Whether other numbers of the report come from more seeds."""
    signed: bool = False
    """Whether it is a difference."""

    @property
    def deviation(self) -> float:
        """Standard deviation of the sample of seeds (n - 1); 0 for a single seed."""
        return deviation(list(self.seeds.values()))

    @property
    def mark(self) -> str:
        """What warns of it."""
        if len(self.seeds) == 1:
            return ONE_SEED
        return FEWER_SEEDS if self.fewer else ""

    def number(self) -> str:
        """The mean in per cent."""
        return f"{100 * self.mean:{'+' if self.signed else ''}.{DIGITS}f}"

    def spread(self) -> str:
        """The deviation in points."""
        return f"{100 * self.deviation:.{DIGITS}f}"


@dataclass(frozen=True)
class Quoted:
    """A number that a paper gives, in per cent."""

    percent: float
    """As published."""
    digits: int = DIGITS
    """As many as were published."""


Entry: TypeAlias = Measured | Quoted | str | None
"""None where nothing was run."""


def over_seeds(
    seeds: Mapping[int, float], expected: Sequence[int], *, signed: bool = False
) -> Measured:
    """The mean over seeds.

    Args:
        seeds: seed to its number, 0 to 1; at least one.
        expected: every seed of the protocol.
        signed: whether it is a difference.
    """
    return Measured(mean(seeds.values()), dict(seeds), len(seeds) < len(expected), signed)


def measured(
    seeds: Mapping[int, float], expected: Sequence[int], *, signed: bool = False
) -> Measured | None:
    """``over_seeds``, or None where no seed was run."""
    return over_seeds(seeds, expected, signed=signed) if seeds else None


def average(parts: Sequence[Measured | None], expected: Sequence[int]) -> Measured | None:
    """The mean over test sets of each seed that all of them have; None where there is no such seed.

    Args:
        parts: one per test set.
        expected: every seed of the protocol.
    """
    found = [part.seeds for part in parts if part is not None]
    if not found or len(found) < len(parts):
        return None
    common = [seed for seed in found[0] if all(seed in seeds for seeds in found)]
    return measured({seed: mean(seeds[seed] for seeds in found) for seed in common}, expected)


def harmonic(base: Measured | None, new: Measured | None) -> Measured | None:
    """The harmonic mean of two means, as the field reports it; its seeds have their own.

    Args:
        base: accuracy on the classes trained on.
        new: accuracy on the others.
    """
    if base is None or new is None:
        return None
    common = [seed for seed in base.seeds if seed in new.seeds]
    seeds = {seed: harmonic_mean(base.seeds[seed], new.seeds[seed]) for seed in common}
    return Measured(harmonic_mean(base.mean, new.mean), seeds, base.fewer or new.fewer)


def harmonic_mean(base: float, new: float) -> float:
    """2 base new / (base + new), 0 where both are 0."""
    return 2 * base * new / (base + new) if base + new else 0.0


def minus(left: Measured | None, right: Measured | None) -> Measured | None:
    """The difference of each seed that both have, which is what tells two runs apart.

    Args:
        left: what is compared.
        right: what it is compared with.
    """
    if left is None or right is None:
        return None
    seeds = {s: value - right.seeds[s] for s, value in left.seeds.items() if s in right.seeds}
    return measured(seeds, list(left.seeds), signed=True)


def plain(entry: Entry) -> str:
    """As text: mean ± deviation, in per cent."""
    if isinstance(entry, Measured):
        return f"{entry.number()} ± {entry.spread()}{entry.mark}"
    if isinstance(entry, Quoted):
        return f"{entry.percent:.{entry.digits}f}"
    return MISSING if entry is None else entry
