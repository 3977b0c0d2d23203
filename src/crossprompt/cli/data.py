"""``crossprompt data``: which benchmark data sets there are, and whether yours are as they should
be."""

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from crossprompt.cli.console import print_json, print_table, reporting
from crossprompt.data.benchmarks.benchmark import SPLITS_PAGE, Benchmark
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.benchmarks.check import Findings, check_benchmark, draw_tree
from crossprompt.data.registry import OWN, ROOT_VARIABLE
from crossprompt.errors import RequestError
from crossprompt.utils.progress import NOTE
from crossprompt.utils.text import nearest

EXAMPLE = "crossprompt data check caltech101 --root data"

LIST, CHECK = "list", "check"
WIDTH = 80
"""Columns that what is printed outside of tables keeps to."""


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """The two actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|check")
    listing = actions.add_parser(LIST, help="what there is", allow_abbrev=False)
    checking = actions.add_parser(
        CHECK,
        help="what is missing or in the wrong place",
        description="Exit code 0: complete and in its place. 1: something is wrong, and is told.",
        epilog=f"example: {EXAMPLE}",
        allow_abbrev=False,
    )
    checking.add_argument("name", help="of the data set, see: crossprompt data list")
    checking.add_argument("--deep", action="store_true", help="open every image")
    for action in (listing, checking):
        action.add_argument(
            "--root",
            type=Path,
            help=f"folder that holds the data sets' folders (default: {ROOT_VARIABLE})",
        )
        action.add_argument("--json", action="store_true", help="print the answer as JSON")
        action.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
        action.set_defaults(offered=re.findall(r"--[\w-]+", action.format_usage()))


def run(options: argparse.Namespace) -> int:
    """List, or check and say with the exit code 1 that something is wrong."""
    variable = os.environ.get(ROOT_VARIABLE)
    root = options.root or (Path(variable) if variable else None)
    if root is not None and not root.is_dir():
        raise RequestError(f"{root} is no folder; give the one that holds the data sets' folders")
    if options.action == LIST:
        _list(root, options.json)
        return 0
    name = options.name.partition(":")[0]  # of pacs:sketch all domains are checked
    if name not in BENCHMARKS:
        raise _refuse(options.name)
    if root is None:
        raise RequestError(
            f"no root was given; say where the data sets are: --root or {ROOT_VARIABLE}"
        )
    with reporting() as terminal:
        found = check_benchmark(
            BENCHMARKS[name], root, options.deep, terminal.count("Opening images")
        )
    if options.json:
        print_json(found.to_json())
    else:
        _show(found, root)
    return 1 if found.problems else 0


def _refuse(name: str) -> RequestError:
    """Why there is nothing to check of that name, and what to do."""
    if name == "emoji":
        return RequestError(
            "emoji is drawn from the packages of the extra 'demo', so there is nothing to check; "
            "use it with crossprompt demo, or crossprompt fit emoji"
        )
    if name in OWN or Path(name).exists():
        own = f"{name} is" if name not in OWN else "folders and CSV files are"
        path = "PATH" if name in OWN else shlex.quote(name)
        return RequestError(
            f"{own} your own, of which nothing is published to compare with; crossprompt fit "
            f"{path} reads every image before it trains, and tells what is wrong"
        )
    near = nearest(name, [*BENCHMARKS, "emoji"])
    meant = f"did you mean {near}?" if near else f"known are {', '.join(BENCHMARKS)}"
    return RequestError(f"there is no benchmark data set {name!r}; {meant}")


def _list(root: Path | None, as_json: bool) -> None:
    if as_json:
        print_json([_describe(entry, root) for entry in BENCHMARKS.values()])
        return
    columns = ["name", "classes", "images", "GB"]
    rows = [[x.name, f"{x.classes:,}", _sizes(x), _gigabytes(x)] for x in BENCHMARKS.values()]
    if root is not None:
        columns.append("found")
        for row, entry in zip(rows, BENCHMARKS.values(), strict=True):
            row.append("no" if entry.find(root) is None else "yes")
    print_table("Benchmark data sets", columns, rows)
    print("Images: train / val / test, as published. GB: archives, where a site says it.")
    if root is None:
        print(f"Which are here? Say where data sets are with --root or {ROOT_VARIABLE}.")
    else:
        print(f"Found: whether the folder of its images is in {root}; if all are, says:")
        print(f"  crossprompt data check NAME --root {shlex.quote(str(root))}")
    _list_terms()
    print("Also: emoji, which is drawn; a folder of class folders; a CSV file.")


def _list_terms() -> None:
    print("Terms of the collections, as their sites say; the pictures are mostly others':")
    names: dict[str, list[str]] = {}
    for entry in BENCHMARKS.values():
        names.setdefault(entry.terms, []).append(entry.name)
    for terms, of in names.items():
        print(fill(f"  {terms}: {', '.join(of)}", WIDTH, subsequent_indent="    "))


def _describe(entry: Benchmark, root: Path | None) -> dict[str, object]:
    place = None if root is None else entry.find(root)
    return {
        "name": entry.name,
        "title": entry.title,
        "classes": entry.classes,
        "images": entry.images,
        "sizes": entry.sizes,
        "domains": list(entry.domains),
        "shifted": list(entry.shifted),
        "archives_gb": entry.archives_gb,
        "terms": entry.terms,
        "url": entry.url,
        "template": entry.template,
        "split_file": entry.split_file or None,
        "found": None if root is None else place is not None,
        "folder": None if place is None else str(place.folder),
    }


def _sizes(entry: Benchmark) -> str:
    if entry.domains:
        return f"{entry.images:,} in {len(entry.domains)} domains"
    splits = ("train", "val", "test")
    return " / ".join(f"{entry.sizes[x]:,}" if x in entry.sizes else "-" for x in splits)


def _gigabytes(entry: Benchmark) -> str:
    return "" if entry.archives_gb is None else f"{entry.archives_gb:g}"


def _show(found: Findings, root: Path) -> None:
    entry = found.benchmark
    if found.place is not None and found.classes:
        print(f"{entry.title} in {found.place.folder}")
        rows = [
            ["classes", f"{found.classes:,}", f"{entry.classes:,}"],
            *(
                [name, f"{found.sizes.get(name, 0):,}", f"{number:,}"]
                for name, number in entry.sizes.items()
            ),
        ]
        print_table("Numbers", ["of", "found", "published"], rows)
    for note in found.notes:
        print(f"{NOTE}{note}")
    if not found.problems:
        print(f"{entry.title} is complete and in its place.")
        return
    count = len(found.problems)
    print(f"{entry.title}: {count} {'problem' if count == 1 else 'problems'}")
    for problem in found.problems:
        print(f"  - {problem}")
    print(f"\nImages: {entry.url}  ({entry.terms})")
    if entry.split_file or "classnames.txt" in entry.files:
        print(f"{entry.split_file or 'classnames.txt'}: {SPLITS_PAGE}")
    tree = "\n".join(f"  {line}" for line in draw_tree(entry).splitlines())
    print(f"How it should look in {root}:\n\n{tree}")
