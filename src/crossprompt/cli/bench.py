"""``crossprompt bench``: a grid of trainings, resumable, on one machine or a cluster."""

import argparse
from functools import partial

from crossprompt.bench.grid import ORDERS, Grid
from crossprompt.bench.method_spec import parse_method
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.cli.args import add_option, add_settings, collect, positive
from crossprompt.cli.run_cells import SMALL, add_run_arguments, choose_device_and_dtype, run_cells
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError
from crossprompt.training.config import TrainConfig

EXAMPLE = (
    "crossprompt bench --datasets emoji --methods zero_shot coop dcp:variant=released "
    "--shots 1 4 --seeds 1 2 3 --output results"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    grid = parser.add_argument_group("grid: every combination is computed")
    named = partial(add_option, nargs="+", metavar="NAME")
    numbered = partial(add_option, nargs="+")
    datasets = "names, folders of class folders or CSV files; A+B: learned together, by mmap"
    named(grid, "--datasets", datasets, required=True)
    methods = "names, each with settings if wanted: dcp:variant=released,epochs=30"
    named(grid, "--methods", methods, required=True, metavar="METHOD")
    named(grid, "--backbones", "what fit --backbone takes", [SMALL])
    numbered(grid, "--shots", "training images per class", [1, 2, 4, 8, 16], type=positive)
    numbered(grid, "--seeds", "one run each", [1, 2, 3], type=int)
    protocols = "; ".join(f"{name} ({one.summary})" for name, one in PROTOCOLS.items())
    named(grid, "--protocol", f"some of: {protocols}", ["few-shot"])
    named(
        grid,
        "--targets",
        "other data sets to test on: for cross-dataset (default: the other --datasets) and "
        "domain-generalisation",
    )
    inference = parser.add_argument_group("inference of a trained method")
    named(inference, "--inference", "calibrated, and for study per-image and batch", ["calibrated"])
    sizes = "test images at a time, for --inference batch (default: 16)"
    numbered(inference, "--test-batch-size", sizes, type=positive)
    orders = f"for --inference batch: some of {', '.join(ORDERS)} (default: listed)"
    named(inference, "--batch-order", orders)
    add_option(parser, "--root", f"folder that holds the data sets (default: {ROOT_VARIABLE})")
    add_run_arguments(parser)
    add_settings(parser, TrainConfig, "training, of all methods that take steps", skip=("seed",))


def run(options: argparse.Namespace) -> int:
    """Run the grid; 1 if a cell failed."""
    for name in ("test_batch_size", "batch_order"):
        if getattr(options, name) and "batch" not in options.inference:
            raise RequestError(
                f"--{name.replace('_', '-')} goes with --inference batch; without that it would "
                "be ignored, leave it out"
            )
    grid = Grid(
        datasets=options.datasets,
        methods=[parse_method(word) for word in options.methods],
        shots=options.shots,
        seeds=options.seeds,
        protocols=options.protocol,
        backbones=options.backbones,
        dtype=choose_device_and_dtype(options)[1],
        inference=options.inference,
        test_batch_sizes=options.test_batch_size or Grid.test_batch_sizes,
        batch_orders=options.batch_order or Grid.batch_orders,
        training=collect(options, TrainConfig, skip=("seed",)),
        targets=options.targets or [],
    )
    return run_cells(grid.cells(), options, options.root)
