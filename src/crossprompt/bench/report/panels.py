"""What a picture shows, before it is drawn: curves and levels over an axis of doublings."""

from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.bench.report.entries import Measured


@dataclass(frozen=True)
class Curve:
    """A number that changes along the axis."""

    label: str
    """In the legend."""
    points: tuple[tuple[float, Measured], ...]
    """Place on the axis and number, from left to right."""


@dataclass(frozen=True)
class Level:
    """A number that does not: a line across."""

    label: str
    """In the legend."""
    value: Measured
    """Its number."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    """Above it."""
    axis: str
    """What runs along it."""
    ticks: tuple[tuple[float, str], ...]
    """Places on the axis, each with its label."""
    curves: tuple[Curve, ...]
    """At least one."""
    levels: tuple[Level, ...] = ()
    """Behind the curves."""

    @property
    def description(self) -> str:
        """For those who cannot see it."""
        labels = ", ".join(labels_of([self]))
        return f"Accuracy in per cent against {self.axis}, {self.title}: {labels}."


def labels_of(panels: Sequence[Panel]) -> list[str]:
    """Every label once, in order."""
    levels = [level.label for panel in panels for level in panel.levels]
    return list(dict.fromkeys([*levels, *(c.label for panel in panels for c in panel.curves)]))
