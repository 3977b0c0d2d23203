"""The main job on the embedded model and data: four methods in three styles."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import joblib
import torch

from crossprompt.bench.stats import deviation
from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.evaluate import evaluate
from crossprompt.classifier.saving import load
from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.data.benchmarks.emoji import SOURCE
from crossprompt.data.dataset import Dataset, Split
from crossprompt.data.registry import load_dataset
from crossprompt.methods import build_method
from crossprompt.training.config import TrainConfig
from crossprompt.training.train import train
from crossprompt.utils.device import choose_dtype
from crossprompt.utils.files import atomic_write
from crossprompt.utils.progress import Reporter, Silent

SHOTS = (1, 8)
"""Training images per class."""
SEEDS = (1, 2, 3)
"""Of the few-shot draw, the start values and the order of the images."""
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
"""Method to its settings: both prompts, and the attention that rewrites them, start from what
zero-shot does, for so few steps do not make up for a random start."""
SAVED = "dcp"
"""The method whose classifier is kept: of the first seed at the most shots."""


@dataclass(frozen=True)
class Run:
    """One method on one draw of few shots."""

    method: str
    """Its name."""
    shots: int
    """Training images per class."""
    seed: int
    """Of the draw, the start values and the order of the images."""
    folder: Path | None = None
    """Where its classifier is saved, if it is."""
    dtype: str = "auto"
    """What the towers compute in."""


@dataclass(frozen=True)
class Row:
    """One method in one style at one number of shots."""

    method: str
    """Its name."""
    style: str
    """Of the test pictures."""
    shots: int
    """Training images per class; zero-shot and its like ignore them."""
    seeds: list[int]
    """One run each."""
    accuracy: list[float]
    """Of each seed, 0 to 1."""

    @property
    def text(self) -> str:
        """Mean and standard deviation in per cent."""
        return f"{100 * mean(self.accuracy):.1f} ± {100 * deviation(self.accuracy):.1f}"


@dataclass(frozen=True)
class DemoResult:
    """What the demo found, and where it wrote it."""

    rows: list[Row]
    """Every method, style and number of shots."""
    classes: int
    """Number of classes."""
    seconds: float
    """The whole demo took."""
    classifier: Classifier
    """The saved one."""
    folder: Path
    """Where it is saved."""
    pictures: dict[str, Split]
    """Style to its test pictures, the source style first."""

    def row(self, method: str, style: str, shots: int) -> Row:
        """The row of a method in a style."""
        wanted = (method, style, shots)
        return next(row for row in self.rows if (row.method, row.style, row.shots) == wanted)

    def gain(self, method: str, other: str, style: str, shots: int) -> float:
        """How many points the mean accuracy of ``method`` lies above that of ``other``."""
        above, below = (self.row(name, style, shots).accuracy for name in (method, other))
        return 100 * (mean(above) - mean(below))


def run_demo(
    output: Path,
    *,
    shots: Sequence[int] = SHOTS,
    seeds: Sequence[int] = SEEDS,
    dtype: str = "auto",
    reporter: Reporter | None = None,
) -> DemoResult:
    """Train and test, and write ``results.json`` and the saved classifier.

    Args:
        output: folder for the results.
        shots: training images per class, one or more numbers.
        seeds: one run each.
        dtype: what the towers compute in, ``auto``, ``fp32`` or ``bf16``.
        reporter: told how it goes.

    Raises:
        RequestError: the packages that hold the pictures are not installed, or there is no such
            dtype.
    """
    began = time.perf_counter()
    choose_dtype(dtype, torch.device("cpu"))
    data = load_dataset("emoji")  # draws the pictures before several processes look for them
    runs = [replace(run, dtype=dtype) for run in plan(shots, seeds, output / SAVED)]
    count = (reporter or Silent()).count("Training and testing")
    accuracy: dict[tuple[str, int, int], dict[str, float]] = {}
    # the model is too small to keep several cores busy, so each run has one for itself
    parallel = joblib.Parallel(n_jobs=joblib.cpu_count(), return_as="generator_unordered")
    for done, (run, found) in enumerate(parallel(joblib.delayed(do)(run) for run in runs), 1):
        accuracy[run.method, run.shots, run.seed] = found
        count(done, len(runs))
    rows = [
        Row(method, style, k, list(seeds), [accuracy[method, k, seed][style] for seed in seeds])
        for method in BUDGET
        for k in shots
        for style in by_style(data)
    ]
    classes, seconds = len(data.class_names), round(time.perf_counter() - began, 1)
    write_results(output / "results.json", rows, classes, seconds)
    saved = load(output / SAVED, device="cpu")
    return DemoResult(rows, classes, seconds, saved, output / SAVED, by_style(data))


def plan(shots: Sequence[int], seeds: Sequence[int], folder: Path) -> list[Run]:
    """Every run, the longest first; the one at the most shots with the first seed is saved."""
    runs = [
        Run(method, k, seed, folder if (method, k, seed) == (SAVED, max(shots), seeds[0]) else None)
        for method in reversed(BUDGET)
        for k in sorted(shots, reverse=True)
        for seed in seeds
    ]
    return runs


def do(run: Run) -> tuple[Run, dict[str, float]]:
    """Train, freeze and test: the run and its accuracy in every style."""
    clip, data = _clip(run.dtype), load_dataset("emoji")
    few = data.few_shot(run.shots, run.seed)
    options = OPTIONS.get(run.method, {})
    method = build_method(run.method, clip, data.class_names, seed=run.seed, **options)
    config = TrainConfig.of({"seed": run.seed, **BUDGET[run.method]}, "demo")
    train(method, clip, few.train, config, val=few.val)
    about = {
        "data": {
            "name": data.name,
            "fingerprint": few.fingerprint,
            "training_images": len(few.train),
            "shots": run.shots,
        },
        "training": config.to_json(),
    }
    classifier = freeze(method, clip, few.train, val=few.val, seed=run.seed, information=about)
    accuracy = {
        style: evaluate(classifier, split, cache_features=True).accuracy
        for style, split in by_style(data).items()
    }
    if run.folder is not None:
        classifier.information["metrics"] = {f"accuracy on {k}": v for k, v in accuracy.items()}
        classifier.save(run.folder)
    return run, accuracy


@cache
def _clip(dtype: str) -> CLIP:
    return load_clip("tiny", device="cpu", dtype=dtype)


def by_style(data: Dataset) -> dict[str, Split]:
    """Style to its test pictures, the source style first."""
    return {SOURCE: data.test, **data.shifted}


def write_results(path: Path, rows: Sequence[Row], classes: int, seconds: float) -> None:
    """Write the numbers as JSON."""
    results = {"rows": [asdict(row) for row in rows], "classes": classes, "seconds": seconds}
    text = json.dumps(results, indent=1) + "\n"
    atomic_write(path, lambda partial: partial.write_text(text, "utf-8"))
