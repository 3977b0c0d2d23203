"""What a script prints: a table to read, or one JSON document for ``benchmarks.report``."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import machine
from benchmarks.workload import BACKBONES, Setting
from crossprompt.utils.device import DTYPES, choose_device

Document = dict[str, Any]
"""``benchmark``, ``command``, ``machine`` and ``rows``."""


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every script has."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or mps")
    parser.add_argument("--json", action="store_true", help="print one JSON document, no table")
    parser.add_argument("--backbone", choices=list(BACKBONES), default="vit-b-16")
    return parser


def add_cases(
    parser: argparse.ArgumentParser, classes: Sequence[str], batch_size: int, repeats: bool = True
) -> None:
    """The options of the scripts that measure DCP."""
    images = f"images at a time ({batch_size})"
    parser.add_argument("--batch-size", type=int, default=batch_size, help=images)
    if repeats:
        add_repeats(parser)
    parser.add_argument(
        "--classes",
        nargs="+",
        default=list(classes),
        help="numbers of classes with names of 4 tokens; imagenet: 1,000 with its names' lengths",
    )
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=["fp32", "bf16"])


def add_repeats(parser: argparse.ArgumentParser) -> None:
    """The option of the scripts that measure time."""
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (5)")


def setting_of(chosen: argparse.Namespace) -> Setting:
    """What was asked for."""
    return Setting(
        chosen.backbone,
        choose_device(chosen.device),
        tuple(chosen.dtypes),
        chosen.batch_size,
        getattr(chosen, "repeats", 1),
    )


def document(
    benchmark: str, setting: Setting, rows: list[dict[str, Any]], **others: Any
) -> Document:
    """Rows with what they hold for."""
    command = shlex.join(argument for argument in sys.argv[1:] if argument != "--json")
    return {
        "benchmark": benchmark,
        "command": f"python -m benchmarks.{benchmark} {command}".strip(),
        "machine": machine.describe(setting.device),
        "backbone": setting.backbone,
        "batch_size": setting.batch_size,
        "repeats": setting.repeats,
        **others,
        "rows": rows,
    }


def show(found: Document, table: Callable[[Document], str], as_json: bool) -> None:
    """Print the document, or its table under the machine's name."""
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print(machine.in_words(found["machine"]), table(found), sep="\n\n")


def say(text: str) -> None:
    """Tell how far a script is, apart from its answer."""
    print(text, file=sys.stderr, flush=True)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well as it is: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in [header, *rows]
    ]
    rule = ["-" * (width - 1) + ":" if place else "-" * width for place, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def insert(written: str, name: str, section: str, title: str = "") -> str:
    """A document with a section between its markers; a new one, under its title, at the end.

    Raises:
        ValueError: the first marker is there without the last.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if begin not in written:
        written += f"\n## {title or name}\n\n{begin}\n{end}\n"
    before, rest = written.split(begin, 1)
    if end not in rest:
        raise ValueError(f"found {begin} without {end}; put it where the table ends")
    return f"{before}{begin}\n{section}\n{end}{rest.split(end, 1)[1]}"


def case_in_words(case: str) -> str:
    """The number of classes."""
    return "1,000, ImageNet's names" if case == "imagenet" else f"{int(case):,}"
