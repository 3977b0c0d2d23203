"""Studies: the whole evaluation of a paper as declared grids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossprompt.bench.grid import Cell, Grid
from crossprompt.bench.method_spec import parse_method
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.benchmarks.check import check_benchmark
from crossprompt.utils.config import require

BACKBONE = "openai/clip-vit-base-patch16"
FEW_SHOT = tuple(BENCHMARKS)[:11]
"""The eleven data sets of few-shot papers, which the catalog lists first."""


@dataclass(frozen=True)
class Study:
    """The evaluation of a paper."""

    title: str
    grids: tuple[Grid, ...]

    def cells(self, backbone: str, dtype: str, datasets: Sequence[str] = FEW_SHOT) -> list[Cell]:
        """Every run of the grids on some of the eleven data sets; ``RequestError`` for others."""
        for name in datasets:
            require(name in FEW_SHOT, f"{name!r} is none of the eleven: {', '.join(FEW_SHOT)}")
        return [
            cell
            for grid in self.grids
            if (chosen := [name for name in grid.datasets if name in datasets])
            for cell in replace(grid, datasets=chosen, backbones=[backbone], dtype=dtype).cells()
        ]


_DCP: dict[str, Any] = {
    "methods": [parse_method("dcp:variant=released")],
    # the library's inference, and the published one with its batch size (DCP's configuration file)
    "inference": ["calibrated", "batch"],
    "test_batch_sizes": [16],
}
STUDIES = {
    "dcp": Study(
        "DCP (Liu et al., 2023), with its released recipe",
        (
            Grid(FEW_SHOT[1:], **_DCP),
            Grid(["imagenet"], shots=(1, 2, 4, 8), **_DCP),
            # tests on ImageNet too, so it stands in for few-shot there
            Grid(["imagenet"], shots=[16], protocols=["domain-generalisation"], **_DCP),
        ),
    ),
}
"""Name of the paper's method to study."""


def missing_data(datasets: Sequence[str], root: Path) -> dict[str, list[str]]:
    """Problems with benchmarks and their shifted sets in the folder ``root``, by data set."""
    names = dict.fromkeys(x for name in datasets for x in (name, *BENCHMARKS[name].shifted))
    found = {name: list(check_benchmark(BENCHMARKS[name], root).problems) for name in names}
    return {name: problems for name, problems in found.items() if problems}
