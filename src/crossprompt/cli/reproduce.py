"""``crossprompt reproduce``: a paper's whole evaluation: what it takes, and then its results."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from crossprompt.bench.cell import Cell
from crossprompt.bench.run import Circumstances
from crossprompt.bench.sources import root_for
from crossprompt.cli.bench import run_cells
from crossprompt.cli.bench_engine import add_engine_arguments, choose_engine, choose_where
from crossprompt.cli.device import add_device_arguments
from crossprompt.cli.terminal import print_table, reporting
from crossprompt.clip.weights import load_clip
from crossprompt.errors import RequestError
from crossprompt.precision import choose_device
from crossprompt.reproduce import (
    BACKBONE,
    FEW_SHOT,
    STUDIES,
    Estimate,
    estimate,
    missing_data,
    total,
)

EXAMPLE = "crossprompt reproduce dcp --data data --estimate"
_SHOWN = 2


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the study and of the engine."""
    parser.add_argument("study", choices=list(STUDIES), help="whose evaluation")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder that holds the data sets' folders (default: CROSSPROMPT_DATA)",
    )
    parser.add_argument(
        "--datasets",
        nargs="+",
        default=list(FEW_SHOT),
        metavar="NAME",
        help="some of the eleven (default: all)",
    )
    parser.add_argument(
        "--backbone", default=BACKBONE, help=f"what fit --backbone takes (default: {BACKBONE})"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results"),
        help="results folder; what is finished there is not computed again (default: results)",
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="list it and estimate time, memory and disk on this machine, from published sizes and "
        "a few steps; then stop. No data is needed",
    )
    parser.add_argument(
        "--unchecked",
        action="store_true",
        help="run although the data is not as published, see crossprompt data check",
    )
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_device_arguments(parser)
    add_engine_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Estimate, or run; 1 if a cell failed."""
    options.backbones = [options.backbone]
    study, (device, dtype) = STUDIES[options.study], choose_where(options)
    cells = study.cells(options.backbone, dtype, options.datasets)
    if options.estimate:
        clip = load_clip(options.backbone, device=choose_device(device), dtype=dtype)
        with reporting() as terminal:
            found = estimate(cells, clip, terminal.say)
        _show(study.title, cells, found, options.json)
        return 0
    root = root_for(options.data)
    if root is None or not Path(root).is_dir():
        raise RequestError(
            f"{options.data or 'nothing'} was given as --data, expected the folder that holds the "
            "data sets' folders; what is needed is listed by crossprompt data list"
        )
    if not options.unchecked:
        _require_data(options.datasets, Path(root))
    engine, threads = choose_engine(options)
    return run_cells(cells, options, engine, Circumstances(root, device, threads))


def _require_data(datasets: Sequence[str], root: Path) -> None:
    problems = missing_data(datasets, root)
    if not problems:
        return
    lines = [f"  {name}: {' '.join(found[:_SHOWN])}" for name, found in problems.items()]
    raise RequestError(
        f"{len(problems)} data sets are not as published; look closer with crossprompt data check "
        "NAME, choose others with --datasets, or run with --unchecked:\n" + "\n".join(lines)
    )


def _show(title: str, cells: Sequence[Cell], found: Sequence[Estimate], as_json: bool) -> None:
    if as_json:
        values = [asdict(row) for row in found]
        summary = {"cells": len(cells), "datasets": values, "total": dict(total(found))}
        print(json.dumps(summary))
        return
    columns = ["data set", "trainings", "steps", "test images", "hours", "memory GB", "disk MB"]
    rows = [
        [
            row.dataset,
            row.trainings,
            f"{row.steps:,}",
            f"{row.tests:,}",
            f"{row.hours:,.1f}",
            f"{row.peak_gb:.1f}",
            f"{row.disk_mb:.0f}",
        ]
        for row in found
    ]
    print_table(f"{title}: {len(cells)} results", columns, rows)
    whole = total(found)
    print(
        f"About {whole['hours']:,.1f} hours on this machine, {whole['peak_gb']:.1f} GB of memory "
        f"and {whole['disk_mb']:.0f} MB of disk; the images are read where they are."
    )
