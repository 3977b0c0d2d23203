"""Plot of docs/performance.md: time and memory against the number of classes."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.document import Document

STYLES: dict[str, dict[str, Any]] = {
    "dense fp32": {"color": "#6b7280", "marker": "s", "label": "dense, as published (fp32)"},
    "ours fp32": {"color": "#4c8bb8", "marker": "o", "label": "ours (fp32)"},
    "limit fp32": {"color": "#4c8bb8", "linestyle": ":", "label": "products alone (fp32)"},
    "ours bf16": {"color": "#c8385a", "marker": "o", "label": "ours (bf16)"},
    "limit bf16": {"color": "#c8385a", "linestyle": ":", "label": "products alone (bf16)"},
}
TITLES = {"vit-b-16": "ViT-B/16", "narrow": "narrow towers"}


def plot(step_time: Document, memory: Document, path: Path) -> None:
    """Plot two log-log panels from the documents of both scripts; names of one length only."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, step_time, "seconds", "seconds per training step")
    _draw(right, memory, "peak_gb", "peak memory (GB)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    batch, backbone = step_time["batch_size"], TITLES[step_time["backbone"]]
    figure.suptitle(f"A training step of DCP: {backbone}, {batch} images, names of 4 tokens")
    figure.savefig(path, dpi=120)


def _draw(axes: Axes, found: Document, values: str, label: str) -> None:
    rows: list[dict[str, Any]] = [row for row in found["rows"] if row["case"] != "imagenet"]
    for name, style in STYLES.items():
        points = [(row["classes"], row[values][name]) for row in rows if name in row[values]]
        if points:
            axes.plot(*zip(*sorted(points), strict=True), **style)
    axes.set(xscale="log", yscale="log", xlabel="classes", ylabel=label)
    ticks = sorted({row["classes"] for row in rows})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else "")
    axes.grid(alpha=0.25, which="both")
    axes.spines[["top", "right"]].set_visible(False)
