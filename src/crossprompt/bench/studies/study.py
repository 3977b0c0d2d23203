"""Which grids a paper's evaluation is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crossprompt.bench.grid import Cell, Grid
from crossprompt.bench.method_spec import parse_method
from crossprompt.utils.config import require

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
