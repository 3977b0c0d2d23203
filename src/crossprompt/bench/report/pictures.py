"""Panels drawn with matplotlib: as SVG for the page, as PNG beside Markdown."""

import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossprompt.bench.report.inference import panel_of, studies
from crossprompt.bench.report.panels import Panel, labels_of
from crossprompt.bench.report.records import Record
from crossprompt.errors import RequestError

INK = "#010203"
"""Of text and axes: stands for the color of the page's text."""
TITLE = 50
"""Characters of a title in a line."""
COLOURS = (
    "#d1456b",
    "#3f86c6",
    "#a97f14",
    "#2a9468",
    "#9468cc",
    "#d0622a",
    "#1c8c99",
    "#7c858f",
    "#c04fac",
    "#788a2a",
)
"""Each to be seen on white and on black."""
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
"""Of a doubling, between neighboring curves, so that their error bars stand side by side."""


@dataclass(frozen=True)
class Style:
    """How a curve or a level looks."""

    color: str
    """One of ``COLOURS``."""
    marker: str
    """One of ``MARKERS``, or none."""
    line: str
    """One of ``DASHES``."""


def styles(panels: Sequence[Panel]) -> dict[str, Style]:
    """One style per label: curves differ in color and marker, levels are dashed."""
    markers, lines = list(MARKERS), list(DASHES)
    levels = {level.label for panel in panels for level in panel.levels}
    looks = {}
    for place, label in enumerate(labels_of(panels)):
        color, line = COLOURS[place % len(COLOURS)], lines[place // len(COLOURS) % len(lines)]
        marker = markers[place % len(markers)]
        looks[label] = Style(color, "", "--") if label in levels else Style(color, marker, line)
    return looks


def svg(panel: Panel, name: str, looks: Mapping[str, Style]) -> str:
    """A picture to stand in the page: in the page's colors, without a title or a legend.

    Args:
        panel: what to draw.
        name: unique in the page; begins every id.
        looks: label to style.
    """
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
    """All panels in one picture with one legend.

    Args:
        panels: at least one.
        path: of the picture; its ending says which format.
        one_scale: whether heights compare between panels.
    """
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
        handles = {
            label: handle
            for axes in grid
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles, loc="outside lower center", ncols=columns + 1, frameon=False
        )
        figure.savefig(path, dpi=130, facecolor="white")


def plot_inference(records: Sequence[Record], path: Path) -> None:
    """Accuracy by rule of inference, and by size and order of the test batch.

    Args:
        records: cells; a panel for each trained method that answered in batches.
        path: of the picture.

    Raises:
        RequestError: no cell was answered in batches.
    """
    panels = [panel_of(title, cells) for title, cells in studies(records).items()]
    drawn = [panel for panel in panels if panel is not None]
    if not drawn:
        raise RequestError(
            "found no line whose inference is 'batch'; there is nothing to compare, "
            "run crossprompt bench with this rule too"
        )
    save(drawn, path)


def _draw(axes: Axes, panel: Panel, looks: Mapping[str, Style]) -> None:
    for level in panel.levels:
        look, value = looks[level.label], level.value
        low, high = (100 * (value.mean + sign * value.deviation) for sign in (-1, 1))
        axes.axhspan(low, high, color=look.color, alpha=0.12, linewidth=0)
        axes.axhline(
            100 * value.mean,
            color=look.color,
            linestyle=look.line,
            linewidth=1.4,
            label=level.label,
        )
    middle = (len(panel.curves) - 1) / 2
    for place, curve in enumerate(panel.curves):
        look, shift = looks[curve.label], 2 ** (DODGE * (place - middle))
        axes.errorbar(
            [place_ * shift for place_, _ in curve.points],
            [100 * value.mean for _, value in curve.points],
            yerr=[100 * value.deviation for _, value in curve.points],
            label=curve.label,
            **_line(look),
        )
    axes.set_xscale("log", base=2)
    axes.minorticks_off()
    axes.set_xticks([tick for tick, _ in panel.ticks], [label for _, label in panel.ticks])
    axes.set(xlabel=panel.axis, ylabel="accuracy (%)")
    axes.margins(x=0.06)
    axes.grid(axis="y", alpha=0.18)
    axes.spines[["top", "right"]].set_visible(False)


def _line(look: Style) -> dict[str, Any]:
    return {
        "color": look.color,
        "marker": look.marker,
        "linestyle": look.line,
        "linewidth": 1.6,
        "markersize": 5,
        "capsize": 2.5,
        "elinewidth": 1,
    }


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
