"""``crossprompt info``: what is inside a saved or an exported classifier."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossprompt.classifier.info import inspect_onnx, inspect_program, inspect_run
from crossprompt.cli.console import print_facts, print_json
from crossprompt.cli.load import ONNX, check_finished, find_run
from crossprompt.inference.metadata import DESCRIPTION, FROZEN, LEARNED
from crossprompt.utils.text import listed

EXAMPLE = "crossprompt info runs/photos-dcp"

PROGRAM = ".pt2"
"""Ending of an exported torch program."""


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """What to look at."""
    parser.add_argument(
        "run",
        type=Path,
        help="folder of a saved classifier, one of its files, owner/name[@revision] of one on the "
        "Hugging Face hub, or an .onnx or .pt2 file that crossprompt export wrote",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Look, without the backbone and without scoring anything, and print a table or JSON."""
    about = inspect(options.run)
    if options.json:
        print_json(about, default=str)
    else:
        print_facts(about["path"], facts(about))
    return 0


def inspect(run: Path) -> dict[str, Any]:
    """What is in a place; see ``crossprompt.classifier.info``."""
    if run.suffix.lower() == ONNX and not run.is_dir():
        return inspect_onnx(run)
    if run.suffix.lower() == PROGRAM and not run.is_dir():
        return inspect_program(run)
    if run.is_file() and run.name in (DESCRIPTION, FROZEN, LEARNED):
        run = run.parent
    run = find_run(run)
    check_finished(run)
    return inspect_run(run)


def facts(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know, in lines."""
    backbone, before = about["backbone"], about["information"].get("learned_with")
    learned_with = [("learned with", _listed(before))] if isinstance(before, list) else []
    new = "yes, with crossprompt classes" if about["takes_new_classes"] else about["why_not"]
    lines = [
        ("what", f"{about['kind']}, form {about['form']}, format {about['format']}"),
        ("method", " ".join([about["method"], *_pairs(about["settings"])])),
        ("classes", _listed(about["classes"])),
        *learned_with,
        ("backbone", f"{backbone['name']}, weights {backbone['weights']:.12}"),
        ("its licence", backbone["licence"] or "not known here; see where it is from"),
        ("data", " ".join(_pairs(about["data"])) or "not said"),
        ("training", " ".join(_pairs(about["training"])) or "not said"),
        ("inference", about["inference"] or "not said"),
        ("measured", ", ".join(_measured(about["metrics"])) or "nothing"),
        ("files", ", ".join(f"{name} {_size(size)}" for name, size in about["files"].items())),
        ("numbers", _numbers(about)),
        ("other classes", new if about["takes_new_classes"] else f"no: {new}"),
        ("export", "yes, with crossprompt export" if about["exportable"] else "is one"),
        ("written by", ", ".join(f"{k} {v}" for k, v in (about["versions"] or {}).items())),
    ]
    return lines


def _listed(names: Sequence[object]) -> str:
    """How many classes, and the first of them."""
    return f"{len(names)}: {listed([str(name) for name in names])}"


def _pairs(found: Mapping[str, Any] | None) -> list[str]:
    return [f"{key}={_short(value)}" for key, value in (found or {}).items() if value is not None]


def _measured(metrics: Mapping[str, Any] | None) -> list[str]:
    return [f"{name} {_short(value)}" for name, value in (metrics or {}).items()]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _numbers(about: Mapping[str, Any]) -> str:
    if "numbers" not in about:
        return f"stored in {about['dtype']}"
    counts = about["numbers"]
    return f"{counts['learned']:,} learned, {counts['frozen']:,} frozen in {about['dtype']}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
