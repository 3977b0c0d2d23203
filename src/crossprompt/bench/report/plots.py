"""Plots of accuracy against an axis of doublings: SVG for the page, PNG beside Markdown."""

import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossprompt.bench.report.entries import Measured

INK = "#010203"
"""Color of text and axes: stands for the color of the page's text."""
TITLE = 50
"""Characters of a title in a line."""
COLORS = (
    *("#d1456b", "#3f86c6", "#a97f14", "#2a9468", "#9468cc"),
    *("#d0622a", "#1c8c99", "#7c858f", "#c04fac", "#788a2a"),
)
"""Visible on white and on black."""
MARKERS = {
    "o": "M8 3.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z",
    "s": "M4 4h8v8H4z",
    "^": "M8 3l5 9.5H3z",
    "D": "M8 2.5L13.5 8L8 13.5L2.5 8z",
    "v": "M8 13L3 3.5h10z",
}
"""matplotlib's name to an outline in a square of 16, for the legend of the page."""
DASHES = {"-": "", "--": "5 3", ":": "1.5 2.5"}
"""matplotlib's name to SVG's."""
DODGE = 0.03
"""Share of a doubling between neighboring curves, so that their error bars stand side by side."""


@dataclass(frozen=True)
class Panel:
    title: str
    axis: str
    body: pd.DataFrame
    """Label to place on the axis to number; what is not measured is left out."""
    levels: Mapping[str, Measured] = field(default_factory=dict)
    """Label to a number that does not depend on the axis: a line across, behind the curves."""

    @property
    def curves(self) -> dict[str, dict[int, Measured]]:
        curves = {
            str(label): {x: y for x, y in row.items() if isinstance(y, Measured)}
            for label, row in self.body.iterrows()
        }
        return {label: points for label, points in curves.items() if points}

    @property
    def description(self) -> str:
        """Text for those who cannot see it."""
        labels = ", ".join(styles([self]))
        return f"Accuracy in per cent against {self.axis}, {self.title}: {labels}."


Style: TypeAlias = dict[str, Any]
"""Color, marker and linestyle of a curve, for matplotlib."""


def styles(panels: Sequence[Panel]) -> dict[str, Style]:
    """One style per label: curves differ in color and marker, levels are dashed."""
    levels = [label for panel in panels for label in panel.levels]
    curves = [label for panel in panels for label in panel.curves]
    labels = dict.fromkeys([*levels, *curves])
    lines = cycle(line for line in DASHES for _ in COLORS)
    looks = {}
    for label, color, marker, line in zip(labels, cycle(COLORS), cycle(MARKERS), lines):
        marker, line = ("", "--") if label in levels else (marker, line)
        looks[label] = {"color": color, "marker": marker, "linestyle": line}
    return looks


def svg(panel: Panel, name: str, looks: Mapping[str, Style]) -> str:
    """Picture in the colors of the page, without a title or a legend; ``name`` begins every id."""
    with _drawing():
        figure = Figure(figsize=(4.8, 3.0), layout="constrained")
        _draw(figure.subplots(), panel, looks)
        text = StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    drawn = text.getvalue()
    drawn = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{name}-", drawn)
    # the page says how large it is; the proportions are in the viewBox
    return re.sub(r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", drawn)


def save(panels: Sequence[Panel], path: Path, *, one_scale: bool = False) -> None:
    """Draw all panels in one picture with one legend; ``one_scale`` makes heights comparable."""
    looks = styles(panels)
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    with _drawing():
        figure = Figure(figsize=(4.4 * columns + 0.6, 3.4 * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=one_scale).flatten()
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel, looks)
            axes.set_title(textwrap.fill(panel.title, TITLE), fontsize=10)
        for axes in grid[len(panels) :]:
            axes.axis("off")
        handles: dict[str, Artist] = {}
        for axes in grid:
            found, labels = axes.get_legend_handles_labels()
            handles |= dict(zip(labels, found, strict=True))
        figure.legend(
            handles.values(), handles, loc="outside lower center", ncols=columns + 1, frameon=False
        )
        figure.savefig(path, dpi=130, facecolor="white")


def _draw(axes: Axes, panel: Panel, looks: Mapping[str, Style]) -> None:
    for label, value in panel.levels.items():
        look = {name: value for name, value in looks[label].items() if name != "marker"}
        low, high = (100 * (value.mean + sign * value.deviation) for sign in (-1, 1))
        axes.axhspan(low, high, color=look["color"], alpha=0.12, linewidth=0)
        axes.axhline(100 * value.mean, label=label, linewidth=1.4, **look)
    curves = panel.curves
    for place, (label, points) in enumerate(curves.items()):
        shift = 2 ** (DODGE * (place - (len(curves) - 1) / 2))
        axes.errorbar(
            [x * shift for x in points],
            [100 * value.mean for value in points.values()],
            yerr=[100 * value.deviation for value in points.values()],
            label=label,
            **looks[label],
            linewidth=1.6,
            markersize=5,
            capsize=2.5,
            elinewidth=1,
        )
    axes.set_xscale("log", base=2)
    axes.minorticks_off()
    axes.set_xticks(list(panel.body.columns), list(map(str, panel.body.columns)))
    axes.set(xlabel=panel.axis, ylabel="accuracy (%)")
    axes.margins(x=0.06)
    axes.grid(axis="y", alpha=0.18)
    axes.spines[["top", "right"]].set_visible(False)


@contextmanager
def _drawing() -> Iterator[None]:
    """Text as it is, without formulas in it; the same file for the same numbers."""
    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {
        **dict.fromkeys((*ink, "grid.color"), INK),
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "crossprompt",
        "font.size": 9.5,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # a name may have letters that the font lacks; a browser finds them elsewhere
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
