"""``crossprompt reproduce``: a paper's whole evaluation: what it takes, and then its results."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crossprompt.bench.loaders import root_for
from crossprompt.bench.results import Lines
from crossprompt.bench.run_grid import Circumstances
from crossprompt.bench.studies.data import missing_data
from crossprompt.bench.studies.estimate import Estimate, estimate, total
from crossprompt.bench.studies.parts import Part, parts_of
from crossprompt.bench.studies.study import BACKBONE, FEW_SHOT, STUDIES
from crossprompt.bench.task import fixed_threads
from crossprompt.cli.args import LOCAL, add_device_arguments
from crossprompt.cli.bench import run_cells
from crossprompt.cli.bench_engine import add_engine_arguments, choose_engine, choose_where
from crossprompt.cli.console import print_json, print_table, reporting
from crossprompt.clip.load import load_clip
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError
from crossprompt.utils.device import choose_device

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
        help="list it, estimate time, memory and disk on this machine from published sizes and a "
        "few steps, as is done before every run, and stop. No data is needed",
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
    """List and estimate, and unless that is all, run; 1 if a cell failed."""
    study, (device, dtype) = STUDIES[options.study], choose_where(options)
    cells = study.cells(options.backbone, dtype, options.datasets)
    engine, threads = choose_engine(options, [options.backbone])
    root = root_for(options.data)
    if not options.estimate:
        _require_data(options, root)
    finished = Lines(options.output).read()
    parts = parts_of(cell for cell in cells if cell.key not in finished)
    title = f"{study.title}: {len(cells)} results"
    if done := sum(cell.key in finished for cell in cells):
        title += f", of which {done} are finished in {options.output}"
    # a cluster's machines are others than this one
    measured = _measure(parts, options, device, dtype, threads) if _can_be_measured(options) else []
    if options.estimate and options.json:
        values = [each.to_json() for each in measured]
        print_json({"cells": len(cells), "datasets": values, "total": total(measured)})
    elif not options.json:  # then what is printed is the summary of the run, and nothing else
        _show(title, parts, measured)
    if options.estimate:
        return 0
    return run_cells(cells, options, engine, Circumstances(root, device, threads))


def _can_be_measured(options: argparse.Namespace) -> bool:
    return bool(options.estimate or options.engine == LOCAL)


def _measure(
    parts: Sequence[Part], options: argparse.Namespace, device: str, dtype: str, threads: int
) -> list[Estimate]:
    if not parts:
        return []
    clip = load_clip(options.backbone, device=choose_device(device), dtype=dtype)
    with reporting() as terminal, fixed_threads(threads):
        return estimate(parts, clip, terminal.say)


def _require_data(options: argparse.Namespace, root: str | None) -> None:
    if root is None or not Path(root).is_dir():
        found = f"{root} is no folder" if root is not None else "no folder was given"
        raise RequestError(
            f"{found}; give the folder that holds the data sets' folders with --data or in "
            f"{ROOT_VARIABLE}; what is needed is listed by crossprompt data list"
        )
    problems = {} if options.unchecked else missing_data(options.datasets, Path(root))
    if not problems:
        return
    lines = [f"  {name}: {' '.join(found[:_SHOWN])}" for name, found in problems.items()]
    raise RequestError(
        f"{len(problems)} data sets are not as published; look closer with crossprompt data check "
        "NAME, choose others with --datasets, or run with --unchecked:\n" + "\n".join(lines)
    )


def _show(title: str, parts: Sequence[Part], measured: Sequence[Estimate]) -> None:
    if not parts:
        print(f"{title}.")
        return
    columns = ["trained on", "trainings", "steps", "test\nimages"]
    rows = [
        [part.title, len(part.trainings), f"{part.steps:,}", f"{part.tests:,}"] for part in parts
    ]
    if measured:
        columns += ["hours", "memory\nGB", "disk\nMB"]
    for row, each in zip(rows, measured, strict=False):
        row += [f"{each.hours:,.1f}", f"{each.peak_gb:.1f}", f"{each.disk_mb:.0f}"]
    print_table(title, columns, rows)
    if not measured:
        return
    whole = total(measured)
    print(
        f"About {whole['hours']:,.1f} hours on this machine, one training at a time; "
        f"{whole['peak_gb']:.1f} GB of memory; {whole['disk_mb']:.0f} MB of disk."
    )
    print("Reading images from disk is not in the estimate.")
