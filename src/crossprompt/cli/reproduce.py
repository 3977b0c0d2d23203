"""``crossprompt reproduce``: the whole evaluation of a paper."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crossprompt.bench.loaders import root_for
from crossprompt.bench.studies import BACKBONE, FEW_SHOT, STUDIES, missing_data
from crossprompt.cli.args import add_flag, add_option
from crossprompt.cli.run_cells import add_run_arguments, choose_device_and_dtype, run_cells
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError

EXAMPLE = "crossprompt reproduce dcp --data data --dry-run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    titles = "; ".join(f"{name}: {study.title}" for name, study in STUDIES.items())
    parser.add_argument("study", choices=list(STUDIES), help=titles)
    root = f"folder that holds the data sets' folders (default: {ROOT_VARIABLE})"
    add_option(parser, "--data", root, metavar="DIR")
    some = "some of the eleven (default: all)"
    add_option(parser, "--datasets", some, nargs="+", metavar="NAME")
    add_option(parser, "--backbone", "what fit --backbone takes", BACKBONE)
    unchecked = "run although the data is not as published, see crossprompt data check"
    add_flag(parser, "--unchecked", unchecked)
    add_run_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Check the data and run the study, or list it; 1 if a cell failed."""
    datasets, dtype = options.datasets or list(FEW_SHOT), choose_device_and_dtype(options)[1]
    cells = STUDIES[options.study].cells(options.backbone, dtype, datasets)
    if not options.dry_run:
        _require_data(options, datasets)
    return run_cells(cells, options, options.data)


def _require_data(options: argparse.Namespace, datasets: Sequence[str]) -> None:
    root = root_for(options.data)
    if root is None or not Path(root).is_dir():
        found = f"{root} is no folder" if root is not None else "no folder was given"
        raise RequestError(
            f"{found}; give the folder that holds the data sets' folders with --data or in "
            f"{ROOT_VARIABLE}; what is needed is listed by crossprompt data list"
        )
    problems = {} if options.unchecked else missing_data(datasets, Path(root))
    if not problems:
        return
    lines = [f"  {name}: {' '.join(found[:2])}" for name, found in problems.items()]
    raise RequestError(
        f"{len(problems)} data sets are not as published; look closer with crossprompt data check "
        "NAME, choose others with --datasets, or run with --unchecked:\n" + "\n".join(lines)
    )
