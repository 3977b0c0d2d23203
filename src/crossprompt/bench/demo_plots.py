"""Plots of the demo's results; needs matplotlib, from the extra ``demo``."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure
from PIL import Image

from crossprompt.bench.demo import DemoResult
from crossprompt.bench.stats import deviation
from crossprompt.data.dataset import Item

METHODS = {
    "zero_shot": ("zero-shot CLIP", "#9aa3ad"),
    "linear_probe": ("linear probe", "#c9a227"),
    "coop": ("CoOp", "#4c8bb8"),
    "dcp": ("DCP", "#c8385a"),
}
"""Method to its label and color."""
STYLES = {"twemoji": "Twemoji", "openmoji": "OpenMoji", "line-art": "line art"}
RIGHT, WRONG = "#1b7f3b", "#b3261e"


def plot_accuracy(result: DemoResult, path: Path) -> None:
    """Bars of the accuracy for every style and method at the most shots, with deviations."""
    shots, styles = max(shots for _, shots, _ in result.accuracy), list(result.pictures)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(METHODS)
    for place, (method, (label, color)) in enumerate(METHODS.items()):
        accuracy = [result.accuracy[method, shots, style] for style in styles]
        bars = axes.bar(
            [index + (place - (len(METHODS) - 1) / 2) * width for index in range(len(styles))],
            [100 * mean(values) for values in accuracy],
            width * 0.94,
            yerr=[100 * deviation(values) for values in accuracy],
            capsize=3,
            color=color,
            label=label,
        )
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=9)
    axes.axhline(100 / result.classes, color="black", linewidth=1, linestyle=":", label="chance")
    labels = [
        f"{STYLES[style]}\n({'a style not seen' if number else 'the style learned from'})"
        for number, style in enumerate(styles)
    ]
    axes.set_xticks(range(len(styles)), labels)
    axes.set_ylabel("accuracy on unseen emoji (%)")
    seeds = len(accuracy[0])
    axes.set_title(f"{shots} pictures of each of {result.classes} kinds, {seeds} seeds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=9)
    figure.savefig(path, dpi=120)


def plot_predictions(result: DemoResult, items: Sequence[Item], path: Path) -> None:
    """A sheet of test pictures with the saved classifier's predictions."""
    columns, names = 8, result.classifier.class_names
    answers = result.classifier.predict([item.path for item in items], top_k=1)
    rows = -(-len(items) // columns)
    figure = Figure(figsize=(1.45 * columns, 1.75 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid:
        axes.axis("off")
    for axes, item, answer in zip(grid, items, answers, strict=False):
        with Image.open(item.path) as picture:
            axes.imshow(picture.convert("RGB"))
        right = answer.label == names[item.label]
        title = f"{answer.label}" if right else f"{answer.label}\n(is {names[item.label]})"
        axes.set_title(title, fontsize=8, color=RIGHT if right else WRONG)
    figure.suptitle("Unseen test pictures and the class DCP gives them: green is right, red wrong")
    figure.savefig(path, dpi=110)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` items, evenly spaced over the list and so over the classes."""
    step = len(items) / count
    return [items[int(index * step)] for index in range(count)]
