"""``crossprompt bench``: a grid of trainings, resumable, on one machine or a cluster."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossprompt.bench.engines import Engine
from crossprompt.bench.grid import ORDERS, Cell, Grid
from crossprompt.bench.loaders import root_for
from crossprompt.bench.method_spec import parse_method
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.results import LINES, Lines
from crossprompt.bench.run_grid import Circumstances, Summary, run_grid
from crossprompt.bench.task import Outcome
from crossprompt.cli.args import add_device_arguments, add_settings, collect, positive
from crossprompt.cli.bench_engine import (
    SMALL,
    add_engine_arguments,
    choose_engine,
    choose_where,
)
from crossprompt.cli.console import print_json, print_table, reporting
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import JobError, RequestError
from crossprompt.training.config import TrainConfig

EXAMPLE = (
    "crossprompt bench --datasets emoji --methods zero_shot coop dcp:variant=released "
    "--shots 1 4 --seeds 1 2 3 --output results"
)


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the grid, of the engine and of the trainings."""
    _add_grid(parser)
    _add_inference(parser)
    parser.add_argument(
        "--root", help=f"folder that holds the data sets (default: {ROOT_VARIABLE})"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results"),
        help="results folder; what is finished there is not computed again (default: results)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list the cells and which are finished"
    )
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_device_arguments(parser)
    add_engine_arguments(parser)
    add_settings(parser, TrainConfig, "training, of all methods that take steps", skip=("seed",))


def _add_grid(parser: argparse.ArgumentParser) -> None:
    protocols = "; ".join(f"{name} ({one.summary})" for name, one in PROTOCOLS.items())
    grid = parser.add_argument_group("grid: every combination is computed")
    many: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    grid.add_argument(
        "--datasets",
        required=True,
        help="names, folders of class folders or CSV files; A+B: learned together, by mmap",
        **many,
    )
    grid.add_argument(
        "--methods",
        required=True,
        nargs="+",
        metavar="METHOD",
        help="names, each with settings if wanted: dcp:variant=released,epochs=30",
    )
    grid.add_argument(
        "--backbones", default=[SMALL], help="what fit --backbone takes (default: tiny)", **many
    )
    numbers: dict[str, Any] = {"nargs": "+", "metavar": "INT"}
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
        **many,
    )
    grid.add_argument(
        "--targets",
        default=[],
        help="other data sets to test on: for cross-dataset (default: the other --datasets) and "
        "domain-generalisation",
        **many,
    )


def _add_inference(parser: argparse.ArgumentParser) -> None:
    grid = parser.add_argument_group("inference: how a trained method is asked")
    many: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    grid.add_argument(
        "--inference",
        default=["calibrated"],
        help="calibrated, and for study per-image and batch (default: calibrated)",
        **many,
    )
    grid.add_argument(
        "--test-batch-size",
        type=positive,
        help="test images at a time, for --inference batch (default: 16)",
        nargs="+",
        metavar="INT",
    )
    grid.add_argument(
        "--batch-order",
        help=f"for --inference batch: some of {', '.join(ORDERS)} (default: listed)",
        **many,
    )


def run(options: argparse.Namespace) -> int:
    """Run the grid; 1 if a cell failed."""
    device, dtype = choose_where(options)
    cells = build_grid(options, dtype).cells()
    engine, threads = choose_engine(options, options.backbones)
    if options.dry_run:
        _list(cells, options.output, options.json)
        return 0
    return run_cells(cells, options, engine, Circumstances(root_for(options.root), device, threads))


def run_cells(
    cells: list[Cell], options: argparse.Namespace, engine: Engine, circumstances: Circumstances
) -> int:
    """Compute cells and show what came of them; 1 if one failed.

    Args:
        cells: of one or several grids.
        options: with ``output``, ``debug`` and ``json``.
        engine: where to compute.
        circumstances: how to compute.
    """
    try:
        with reporting() as terminal:

            def say(outcome: Outcome) -> None:
                cells = outcome.unfinished
                more = f" and {len(cells) - 1} more" if cells[1:] else ""
                terminal.say(f"failed: {cells[0].title}{more}: {outcome.error}")
                if options.debug:
                    terminal.say(outcome.details)

            summary = run_grid(
                cells,
                options.output,
                engine,
                circumstances,
                reporter=terminal,
                on_failure=say,
            )
    except KeyboardInterrupt:
        raise JobError(
            f"stopped; {options.output} keeps the finished cells: the same command goes on"
        ) from None
    if options.json:
        print_json({"output": str(options.output), **summary.to_json()})
    else:
        _show(summary, options.output)
    return 1 if summary.failed else 0


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


def _list(cells: Sequence[Cell], output: Path, as_json: bool) -> None:
    finished = Lines(output).read()
    if as_json:
        listed = [{"cell": cell.to_json(), "finished": cell.key in finished} for cell in cells]
        print_json({"output": str(output), "cells": listed})
        return
    done = sum(cell.key in finished for cell in cells)
    rows = [[cell.title, "finished" if cell.key in finished else "to do"] for cell in cells]
    print_table(f"{len(cells)} cells, {done} finished in {output}", ["cell", "state"], rows)


def _show(summary: Summary, output: Path) -> None:
    for what, pairs in (("not applicable", summary.not_applicable), ("failed", summary.failed)):
        for reason in dict.fromkeys(reason for _, reason in pairs):
            titles = [cell.title for cell, why in pairs if why == reason]
            more = f" and {len(titles) - 1} more" if titles[1:] else ""
            print(f"{what}: {titles[0]}{more}: {reason}")
    print(
        f"{len(summary.computed)} cells computed, {summary.finished_before} finished before, "
        f"{len(summary.not_applicable)} not applicable, {len(summary.failed)} failed."
    )
    if summary.failed:
        print("The same command tries again what failed, and nothing else.")
    print(
        f"Written to {output / LINES}. Tables: {shlex.join(['crossprompt', 'report', str(output)])}"
    )
