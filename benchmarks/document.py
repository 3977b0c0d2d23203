"""Output of the scripts: a table to read, or one JSON document for ``benchmarks.report``."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks import machine
from benchmarks.workload import BACKBONES, Setting
from crossprompt.utils.device import DTYPES, choose_device

Row = dict[str, Any]
Document = dict[str, Any]
"""``benchmark``, ``command``, ``machine`` and ``rows``."""
CLASSES = "numbers of classes with names of 4 tokens; imagenet: 1,000 with its names' lengths"


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser that keeps the line breaks of its description, with ``--json``."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--json", action="store_true", help="print one JSON document, no table")
    return parser


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser with the options of the scripts that run a backbone."""
    parser = new_parser(description)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or mps")
    parser.add_argument("--backbone", choices=list(BACKBONES), default="vit-b-16")
    return parser


def add_cases(
    parser: argparse.ArgumentParser, classes: Sequence[str], batch_size: int, repeats: bool = True
) -> None:
    """Add the options of the scripts that measure a method."""
    images = f"images at a time ({batch_size})"
    parser.add_argument("--batch-size", type=int, default=batch_size, help=images)
    if repeats:
        add_repeats(parser)
    parser.add_argument("--classes", nargs="+", default=list(classes), help=CLASSES)
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=["fp32", "bf16"])


def add_repeats(parser: argparse.ArgumentParser) -> None:
    """Add the option of the scripts that measure time."""
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (5)")


def setting_of(options: argparse.Namespace) -> Setting:
    """Setting from the command line's options."""
    return Setting(
        options.backbone,
        choose_device(options.device),
        tuple(options.dtypes),
        options.batch_size,
        getattr(options, "repeats", 1),
    )


def document(benchmark: str, setting: Setting, rows: list[Row], **others: Any) -> Document:
    """Rows with the command, the machine and the setting that they hold for."""
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


def measure_cases(
    benchmark: str,
    options: argparse.Namespace,
    measure: Callable[[str, Setting], Iterable[Row]],
    table: Callable[[Document], str],
) -> None:
    """Measure every case of ``--classes`` and print the rows."""
    setting = setting_of(options)
    rows: list[Row] = []
    for case in options.classes:
        report_progress(f"{benchmark}: {case} classes")
        rows += measure(case, setting)
    show(document(benchmark, setting, rows), table, options.json)


def show(found: Document, table: Callable[[Document], str], as_json: bool) -> None:
    """Print the document, or its table under the machine's description."""
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print(machine.summarize(found["machine"]), table(found), sep="\n\n")


def report_progress(text: str) -> None:
    """Print to standard error, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Table in aligned Markdown: the first column to the left, the others to the right."""
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
    """Replace the section between a document's markers; without markers, append it with a title.

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


def label_case(case: str) -> str:
    """Label of a case in a table."""
    return "1,000, ImageNet's names" if case == "imagenet" else f"{int(case):,}"
