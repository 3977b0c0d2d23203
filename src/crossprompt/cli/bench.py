"""``crossprompt bench``: a grid of trainings, resumable, on one machine or a cluster."""

import argparse
from collections.abc import Sequence
from typing import Any

from crossprompt.bench.grid import ORDERS, Grid
from crossprompt.bench.method_spec import parse_method
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.cli.args import add_settings, collect, positive
from crossprompt.cli.run_cells import SMALL, add_run_arguments, choose_where, run_cells
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError
from crossprompt.training.config import TrainConfig

EXAMPLE = (
    "crossprompt bench --datasets emoji --methods zero_shot coop dcp:variant=released "
    "--shots 1 4 --seeds 1 2 3 --output results"
)


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the grid, of the engine and of the trainings."""
    _add_grid(parser)
    parser.add_argument(
        "--root", help=f"folder that holds the data sets (default: {ROOT_VARIABLE})"
    )
    add_run_arguments(parser)
    add_settings(parser, TrainConfig, "training, of all methods that take steps", skip=("seed",))


def _add_grid(parser: argparse.ArgumentParser) -> None:
    protocols = "; ".join(f"{name} ({one.summary})" for name, one in PROTOCOLS.items())
    names: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    numbers: dict[str, Any] = {"nargs": "+", "metavar": "INT"}
    grid = parser.add_argument_group("grid: every combination is computed")
    grid.add_argument(
        "--datasets",
        required=True,
        help="names, folders of class folders or CSV files; A+B: learned together, by mmap",
        **names,
    )
    grid.add_argument(
        "--methods",
        required=True,
        nargs="+",
        metavar="METHOD",
        help="names, each with settings if wanted: dcp:variant=released,epochs=30",
    )
    grid.add_argument(
        "--backbones", default=[SMALL], help="what fit --backbone takes (default: tiny)", **names
    )
    grid.add_argument(
        "--shots",
        type=positive,
        default=[1, 2, 4, 8, 16],
        help="training images per class (default: 1 2 4 8 16)",
        **numbers,
    )
    grid.add_argument(
        "--seeds", type=int, default=[1, 2, 3], help="one run each (default: 1 2 3)", **numbers
    )
    grid.add_argument(
        "--protocol",
        default=["few-shot"],
        help=f"some of: {protocols} (default: few-shot)",
        **names,
    )
    grid.add_argument(
        "--targets",
        default=[],
        help="other data sets to test on: for cross-dataset (default: the other --datasets) and "
        "domain-generalisation",
        **names,
    )
    grid = parser.add_argument_group("inference of a trained method")
    grid.add_argument(
        "--inference",
        default=["calibrated"],
        help="calibrated, and for study per-image and batch (default: calibrated)",
        **names,
    )
    grid.add_argument(
        "--test-batch-size",
        type=positive,
        help="test images at a time, for --inference batch (default: 16)",
        **numbers,
    )
    grid.add_argument(
        "--batch-order",
        help=f"for --inference batch: some of {', '.join(ORDERS)} (default: listed)",
        **names,
    )


def run(options: argparse.Namespace) -> int:
    """Run the grid; 1 if a cell failed."""
    cells = build_grid(options, choose_where(options)[1]).cells()
    return run_cells(cells, options, options.root)


def build_grid(options: argparse.Namespace, dtype: str) -> Grid:
    """The grid that the options say.

    Raises:
        RequestError: a method or a setting is unknown or impossible, or an option would be ignored.
    """
    for name in ("test_batch_size", "batch_order"):
        if getattr(options, name) and "batch" not in options.inference:
            raise RequestError(
                f"--{name.replace('_', '-')} goes with --inference batch; without that it would "
                "be ignored, leave it out"
            )
    return Grid(
        datasets=options.datasets,
        methods=[parse_method(word) for word in options.methods],
        shots=options.shots,
        seeds=options.seeds,
        protocols=options.protocol,
        backbones=options.backbones,
        dtype=dtype,
        inference=options.inference,
        test_batch_sizes=options.test_batch_size or Grid.test_batch_sizes,
        batch_orders=options.batch_order or Grid.batch_orders,
        training=collect(options, TrainConfig, skip=("seed",)),
        targets=options.targets,
    )
