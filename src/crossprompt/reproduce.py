"""A paper's whole evaluation: which grids it is, and what it takes on this machine."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from crossprompt.bench.cell import Cell
from crossprompt.bench.grid import Grid
from crossprompt.bench.words import parse_method
from crossprompt.clip.model import CLIP
from crossprompt.data.benchmarks import BENCHMARKS
from crossprompt.data.check import check_benchmark
from crossprompt.memory import choose_saving
from crossprompt.methods import Method, build_from, find_method
from crossprompt.optimiser import build_optimiser
from crossprompt.settings import require

FEW_SHOT = (
    "imagenet",
    "caltech101",
    "oxford_pets",
    "stanford_cars",
    "oxford_flowers",
    "food101",
    "fgvc_aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
)
"""The eleven data sets of few-shot papers."""
SHOTS = (1, 2, 4, 8, 16)
SEEDS = (1, 2, 3)
MOST = max(SHOTS)
TEST_BATCH = 16
"""Test images at a time in DCP's published evaluation (its configuration file)."""
BACKBONE = "openai/clip-vit-base-patch16"
LINE_BYTES = 20_000
"""Of a line of results, about: most is the accuracy of every class."""


@dataclass(frozen=True)
class Study:
    """A paper's evaluation."""

    name: str
    """What the user types."""
    title: str
    """What it is."""
    methods: tuple[str, ...]
    """With settings, as ``bench --methods`` takes them; everything else is the published recipe."""

    def grids(self, backbone: str, dtype: str, datasets: Sequence[str] = FEW_SHOT) -> list[Grid]:
        """Few-shot on all data sets, and ImageNet at 16 shots with its shifted sets.

        The latter tests on ImageNet too, so it stands in for few-shot there.

        Args:
            backbone: what ``load_clip`` takes.
            dtype: what the towers compute in.
            datasets: some of the eleven.
        """
        shared: dict[str, Any] = {
            "methods": [parse_method(word) for word in self.methods],
            "seeds": SEEDS,
            "backbones": [backbone],
            "dtype": dtype,
            # as this library answers, and as was published
            "inference": ["calibrated", "batch"],
            "test_batch_sizes": [TEST_BATCH],
        }
        grids = []
        others = [name for name in datasets if name != "imagenet"]
        if others:
            grids.append(Grid(others, shots=SHOTS, **shared))
        if "imagenet" in datasets:
            fewer = tuple(shots for shots in SHOTS if shots != MOST)
            shifted = ["domain-generalisation"]
            grids.append(Grid(["imagenet"], shots=fewer, **shared))
            grids.append(Grid(["imagenet"], shots=[MOST], protocols=shifted, **shared))
        return grids

    def cells(self, backbone: str, dtype: str, datasets: Sequence[str] = FEW_SHOT) -> list[Cell]:
        """Every cell of the grids; see ``grids``.

        Raises:
            RequestError: a data set is not one of the eleven.
        """
        for name in datasets:
            require(name in FEW_SHOT, f"{name!r} is none of the eleven: {', '.join(FEW_SHOT)}")
        return [cell for grid in self.grids(backbone, dtype, datasets) for cell in grid.cells()]


STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study("dcp", "DCP (Liu et al., 2023), with its released recipe", ("dcp:variant=released",)),
    )
}
"""Name to study."""


@dataclass(frozen=True)
class Estimate:
    """What a data set of a study takes on this machine."""

    dataset: str
    """Which."""
    trainings: int
    """How many."""
    steps: int
    """Of all trainings."""
    tests: int
    """Test images to be classified, over all cells."""
    hours: float
    """Measured on a step and a batch of random images."""
    peak_gb: float
    """At the highest, of a training step."""
    disk_mb: float
    """Of results, and of the largest state that is kept while a training runs."""


def missing_data(datasets: Sequence[str], root: Path) -> dict[str, list[str]]:
    """What is wrong with the data, by data set; nothing is if empty.

    Args:
        datasets: names of benchmarks; their shifted sets are looked at too.
        root: folder of the data sets.
    """
    names = dict.fromkeys(x for name in datasets for x in (name, *BENCHMARKS[name].shifted))
    found = {name: check_benchmark(BENCHMARKS[name], root).problems for name in names}
    return {name: list(problems) for name, problems in found.items() if problems}


def estimate(
    cells: Sequence[Cell], clip: CLIP, say: Callable[[str], None] = lambda _: None
) -> list[Estimate]:
    """What every data set of a study takes, from published sizes and a few steps on random images.

    Args:
        cells: of the study.
        clip: the backbone, where it is to be trained.
        say: told what is being measured.
    """
    by_dataset: dict[str, list[Cell]] = {}
    for cell in cells:
        by_dataset.setdefault(cell.dataset, []).append(cell)
    estimates = []
    for dataset, members in by_dataset.items():
        say(f"measuring a step with the {BENCHMARKS[dataset].classes} classes of {dataset}")
        estimates.append(_estimate(dataset, members, clip))
    return estimates


def _estimate(dataset: str, cells: Sequence[Cell], clip: CLIP) -> Estimate:
    benchmark = BENCHMARKS[dataset]
    trainings = {cell.of_training.key: cell for cell in cells}.values()
    first = cells[0]
    recipe = find_method(first.method).recipe(first.shots)
    names = [str(number) for number in range(benchmark.classes)]  # of 1 to 3 tokens
    method = build_from(first.method, clip, names, first.options)
    probe = _Probe(method, clip, recipe.batch_size)
    steps = sum(_steps(cell, benchmark.classes) for cell in trainings)
    calibrated, batch = (
        sum(_tests(cell) for cell in cells if cell.inference == inference)
        for inference in ("calibrated", "batch")
    )
    seconds = (
        steps * probe.seconds(probe.step)
        + calibrated / TEST_BATCH * probe.seconds(probe.encode)
        + batch / TEST_BATCH * probe.seconds(probe.score)
    )
    learned = sum(x.nbytes for x in method.parameters())
    return Estimate(
        dataset,
        len(trainings),
        steps,
        calibrated + batch,
        round(seconds / 3600, 2),
        round(probe.peak() / 1e9, 2),
        round((len(cells) * LINE_BYTES + 2 * learned) / 1e6, 1),
    )


def _steps(cell: Cell, classes: int) -> int:
    recipe = find_method(cell.method).recipe(cell.shots)
    images = min(cell.shots * classes, BENCHMARKS[cell.dataset].sizes["train"])
    return recipe.for_images(images).epochs * max(1, images // recipe.batch_size)


def _tests(cell: Cell) -> int:
    benchmark = BENCHMARKS[cell.dataset]
    shifted = benchmark.shifted if cell.protocol == "domain-generalisation" else ()
    return benchmark.sizes["test"] + sum(BENCHMARKS[name].sizes["test"] for name in shifted)


class _Probe:
    """A training step and a test batch on random images.

    Args:
        method: untrained.
        clip: the backbone.
        batch_size: images in a step.
    """

    def __init__(self, method: Method, clip: CLIP, batch_size: int) -> None:
        self.method, self.clip = method, clip
        shape = (3, clip.config.image.side, clip.config.image.side)
        self.images = torch.randn(batch_size, *shape, device=clip.device)
        self.tests = torch.randn(TEST_BATCH, *shape, device=clip.device)
        self.labels = torch.zeros(batch_size, dtype=torch.long, device=clip.device)
        self.optimiser = build_optimiser(method, method.recipe(1))

    def step(self) -> None:
        """As training does."""
        self.optimiser.zero_grad(set_to_none=True)
        self.method.backward(self.clip, self.images, self.labels)
        self.optimiser.step()

    @torch.no_grad()
    def encode(self) -> None:
        """As a frozen classifier does: images alone."""
        self.clip.encode_images(self.tests)

    @torch.no_grad()
    def score(self) -> None:
        """As was published: both towers for every batch."""
        self.method(self.clip, self.tests)

    def peak(self) -> float:
        """Bytes of a step at the highest."""

        def loss() -> torch.Tensor:
            return self.method.loss(self.clip, self.images, self.labels)

        return choose_saving(loss, self.method, self.clip, None)[1]

    def seconds(self, function: Callable[[], None], repeats: int = 2) -> float:
        """Of the fastest call, after one to warm up."""
        taken = []
        for _ in range(1 + repeats):
            began = time.perf_counter()
            function()
            if self.clip.device.type == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - began)
        return min(taken[1:])


def total(estimates: Sequence[Estimate]) -> Mapping[str, float]:
    """Hours, GB and MB of a whole study."""
    return {
        "hours": round(sum(x.hours for x in estimates), 1),
        "peak_gb": max(x.peak_gb for x in estimates),
        "disk_mb": round(sum(x.disk_mb for x in estimates), 1),
    }
