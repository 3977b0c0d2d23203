"""``crossprompt info``: the content of a saved or an exported classifier."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossprompt.classifier.info import inspect_onnx, inspect_program, inspect_run
from crossprompt.cli.args import add_flag
from crossprompt.cli.console import print_facts, print_json
from crossprompt.cli.load import ONNX, find_run
from crossprompt.inference.metadata import DESCRIPTION, FROZEN, LEARNED
from crossprompt.utils.text import listed

EXAMPLE = "crossprompt info runs/photos-dcp"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        type=Path,
        help="folder of a saved classifier, one of its files, owner/name[@revision] of one on the "
        "Hugging Face hub, or an .onnx or .pt2 file that crossprompt export wrote",
    )
    add_flag(parser, "--json", "print everything as JSON")


def run(options: argparse.Namespace) -> int:
    about = inspect(options.run)
    if options.json:
        print_json(about, default=str)
    else:
        print_facts(about["path"], facts(about))
    return 0


def inspect(run: Path) -> dict[str, Any]:
    suffix = "" if run.is_dir() else run.suffix.lower()
    if suffix == ONNX:
        return inspect_onnx(run)
    if suffix == ".pt2":
        return inspect_program(run)
    if run.is_file() and run.name in (DESCRIPTION, FROZEN, LEARNED):
        run = run.parent
    return inspect_run(find_run(run))


def facts(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    backbone, before = about["backbone"], about["information"].get("learned_with")
    earlier = [("trained with", _classes(before))] if isinstance(before, list) else []
    return [
        ("kind", f"{about['kind']}, form {about['form']}, format {about['format']}"),
        ("method", f"{about['method']} {_pairs(about['settings'])}".rstrip()),
        ("classes", _classes(about["classes"])),
        *earlier,
        ("backbone", f"{backbone['name']}, weights {backbone['weights']:.12}"),
        ("its license", backbone["licence"] or "unknown; see where the backbone is from"),
        ("data", _pairs(about["data"]) or "unknown"),
        ("training", _pairs(about["training"]) or "unknown"),
        ("inference", about["inference"] or "unknown"),
        ("measured", _pairs(about["metrics"], " ", ", ") or "nothing"),
        ("files", ", ".join(f"{name} {_size(size)}" for name, size in about["files"].items())),
        ("parameters", _parameters(about)),
        ("new classes", f"no: {about['why_not']}" if about["why_not"] else "crossprompt classes"),
        ("export", "crossprompt export" if about["exportable"] else "is one"),
        ("versions", _pairs(about["versions"], " ", ", ")),
    ]


def _classes(names: Sequence[object]) -> str:
    return f"{len(names)}: {listed([str(name) for name in names])}"


def _pairs(found: Mapping[str, Any] | None, equals: str = "=", separator: str = " ") -> str:
    shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in (found or {}).items()}
    return separator.join(f"{k}{equals}{v}" for k, v in shown.items() if v is not None)


def _parameters(about: Mapping[str, Any]) -> str:
    if "numbers" not in about:
        return f"stored in {about['dtype']}"
    counts = about["numbers"]
    return f"{counts['learned']:,} trained, {counts['frozen']:,} frozen in {about['dtype']}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
