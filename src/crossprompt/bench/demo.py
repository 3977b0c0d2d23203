"""Demo: a small grid of four methods on the embedded model and data."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import joblib
import torch
from matplotlib.figure import Figure
from PIL import Image

from crossprompt.bench.engines import SILENT
from crossprompt.bench.grid import Cell, Grid
from crossprompt.bench.loaders import load_backbone
from crossprompt.bench.method_spec import Choice
from crossprompt.bench.results import deviation
from crossprompt.bench.run_cell import Training, prepare
from crossprompt.bench.task import fixed_threads
from crossprompt.classifier.classifier import Classifier
from crossprompt.classifier.loading import load
from crossprompt.data.benchmarks.emoji import SOURCE
from crossprompt.data.dataset import Item, Split
from crossprompt.data.registry import load_dataset
from crossprompt.utils.device import DTYPES, choose_dtype
from crossprompt.utils.files import atomic_write
from crossprompt.utils.progress import Reporter

SHOTS = (1, 8)
"""Training images per class."""
SEEDS = (1, 2, 3)
BUDGET: dict[str, dict[str, Any]] = {
    "zero_shot": {},
    "linear_probe": {},
    "coop": {"epochs": 50, "lr": 0.1, "augment": False},
    "dcp": {"epochs": 30, "batch_size": 8, "lr": 0.03, "augment": False},
}
"""Method to training settings, chosen on folds of the training and validation emoji by
``tools/compare_settings.py``: fewer epochs than published, so that a laptop is done in minutes,
at a higher learning rate; without crops, which would cut into things that fill the picture."""
WORDS: dict[str, Any] = {"length": 4, "initial_words": "a photo of a"}
OPTIONS: dict[str, dict[str, Any]] = {
    "coop": WORDS,
    "dcp": {**WORDS, "share": False, "start": "identity"},
}
"""Settings of each method: both prompts, and the attention that rewrites them, start from what
zero-shot does, for so few steps do not make up for a random start."""
SAVED = "dcp"
"""The method whose classifier is saved: of the first seed at the most shots."""
LABELS = {
    "zero_shot": ("zero-shot CLIP", "#9aa3ad"),
    "linear_probe": ("linear probe", "#c9a227"),
    "coop": ("CoOp", "#4c8bb8"),
    "dcp": ("DCP", "#c8385a"),
}
"""Label and color of each method."""
STYLES = {"twemoji": "Twemoji", "openmoji": "OpenMoji", "line-art": "line art"}


@dataclass(frozen=True)
class DemoResult:
    accuracy: dict[tuple[str, int, str], list[float]]
    """Accuracy of each seed, 0 to 1, by method, shots and style."""
    classes: int
    seconds: float
    classifier: Classifier
    """Classifier that was saved."""
    pictures: dict[str, Split]
    """Test pictures of each style, the source style first."""


def run_demo(
    output: Path,
    *,
    shots: Sequence[int] = SHOTS,
    seeds: Sequence[int] = SEEDS,
    dtype: str = "auto",
    reporter: Reporter = SILENT,
) -> DemoResult:
    """Train and test, and write ``results.json`` and the saved classifier to ``output``.

    Raises:
        RequestError: the packages that hold the pictures are not installed, or there is no such
            dtype.
    """
    began = time.perf_counter()
    cells = list_cells(shots, seeds, dtype)
    data = load_dataset("emoji")  # draws the pictures before several processes look for them
    pictures = {SOURCE: data.test, **data.shifted}
    saved = next(cell for cell in cells if cell.method == SAVED)
    count = reporter.count("Training and testing")
    found: dict[tuple[str, int, int], dict[str, float]] = {}
    # the model is too small to keep several cores busy, so each run has one for itself
    parallel = joblib.Parallel(n_jobs=joblib.cpu_count(), return_as="generator_unordered")
    calls = (joblib.delayed(compute)(x, output / SAVED if x == saved else None) for x in cells)
    for done, (cell, by_style) in enumerate(parallel(calls), 1):
        found[cell.method, cell.shots, cell.seed] = by_style
        count(done, len(cells))
    accuracy = {
        (method, k, style): [found[method, k, seed][style] for seed in seeds]
        for method in BUDGET
        for k in shots
        for style in pictures
    }
    rows = [
        {"method": method, "style": style, "shots": k, "seeds": list(seeds), "accuracy": values}
        for (method, k, style), values in accuracy.items()
    ]
    classes, seconds = len(data.class_names), round(time.perf_counter() - began, 1)
    text = json.dumps({"rows": rows, "classes": classes, "seconds": seconds}, indent=1) + "\n"
    atomic_write(output / "results.json", lambda partial: partial.write_text(text, "utf-8"))
    classifier = load(output / SAVED, device="cpu")
    return DemoResult(accuracy, classes, seconds, classifier, pictures)


def list_cells(shots: Sequence[int], seeds: Sequence[int], dtype: str) -> list[Cell]:
    """Every run, the longest training first."""
    chosen = choose_dtype(dtype, torch.device("cpu"))
    grid = Grid(
        datasets=["emoji"],
        methods=[Choice(name, OPTIONS.get(name, {}), BUDGET[name]) for name in reversed(BUDGET)],
        shots=sorted(shots, reverse=True),
        seeds=seeds,
        dtype=next(name for name, value in DTYPES.items() if value == chosen),
    )
    return grid.cells()


def compute(cell: Cell, folder: Path | None = None) -> tuple[Cell, dict[str, float]]:
    """Train, freeze and test: the run and its accuracy in every style.

    The classifier is saved in ``folder``, if there is one.
    """
    with fixed_threads(1):
        training = Training(cell, load_backbone(cell.backbone, "cpu", cell.dtype))
        trained = prepare(training)
        results, (run,) = trained.measure(cell)["results"], trained.runs
        names = {"test": SOURCE}
        accuracy = {names.get(x["name"], x["name"]): x["accuracy"] for x in results}
        if folder is not None:
            about = {
                "data": {
                    "name": training.data.name,
                    "fingerprint": training.trial.few.fingerprint,
                    "training_images": len(run.data.train),
                    "shots": cell.shots,
                },
                "training": run.config.to_json(),
                "metrics": {f"accuracy on {style}": value for style, value in accuracy.items()},
            }
            run.freeze(about).save(folder)
    return cell, accuracy


def plot_accuracy(result: DemoResult, path: Path) -> None:
    """Bars of the accuracy for every style and method at the most shots, with deviations."""
    shots, styles = max(shots for _, shots, _ in result.accuracy), list(result.pictures)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(LABELS)
    for place, (method, (label, color)) in enumerate(LABELS.items()):
        accuracy = [result.accuracy[method, shots, style] for style in styles]
        shift = (place - (len(LABELS) - 1) / 2) * width
        bars = axes.bar(
            [index + shift for index in range(len(styles))],
            [100 * mean(values) for values in accuracy],
            width * 0.94,
            yerr=[100 * deviation(values) for values in accuracy],
            capsize=3,
            color=color,
            label=label,
        )
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=9)
    axes.axhline(100 / result.classes, color="black", linewidth=1, linestyle=":", label="chance")
    notes = ["the style learned from", *["a style not seen"] * (len(styles) - 1)]
    labels = [f"{STYLES[style]}\n({note})" for style, note in zip(styles, notes, strict=True)]
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
        title = answer.label if right else f"{answer.label}\n(is {names[item.label]})"
        axes.set_title(title, fontsize=8, color="#1b7f3b" if right else "#b3261e")
    figure.suptitle("Unseen test pictures and the class DCP gives them: green is right, red wrong")
    figure.savefig(path, dpi=110)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` items, evenly spaced over the list and so over the classes."""
    return [items[index * len(items) // count] for index in range(count)]
