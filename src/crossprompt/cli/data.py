"""``crossprompt data``: which benchmark data sets there are, and whether yours are as they should
be."""

import argparse
import json
import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from crossprompt.cli.terminal import print_table, reporting
from crossprompt.data.benchmark import SPLITS_PAGE, Benchmark
from crossprompt.data.benchmarks import BENCHMARKS
from crossprompt.data.check import Findings, check_benchmark
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.data.tree import draw_tree
from crossprompt.errors import RequestError

EXAMPLE = "crossprompt data check caltech101 --root data"

LIST, CHECK = "list", "check"


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
        near = get_close_matches(name, BENCHMARKS, 1)
        meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(BENCHMARKS)}"
        raise RequestError(f"there is no benchmark data set {name!r}; {meant}")
    if root is None:
        raise RequestError(
            f"no root was given; say where the data sets are: --root or {ROOT_VARIABLE}"
        )
    with reporting() as terminal:
        found = check_benchmark(
            BENCHMARKS[name], root, options.deep, terminal.count("Opening images")
        )
    if options.json:
        print(json.dumps(found.to_json()))
    else:
        _show(found, root)
    return 1 if found.problems else 0


def _list(root: Path | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_describe(entry, root) for entry in BENCHMARKS.values()]))
        return
    rows = [
        [entry.name, f"{entry.classes:,}", _sizes(entry), entry.terms, _found(entry, root)]
        for entry in BENCHMARKS.values()
    ]
    print_table("Benchmark data sets", ["name", "classes", "images", "terms", "found"], rows)
    print("Images: as published, train / val / test. Terms: of the collection, as its site says;")
    print("the pictures are mostly others'.")
    print("Also: emoji, which is drawn; a folder of class folders; a CSV file.")
    if root is None:
        print(f"Found: not looked for; say where the data sets are with --root or {ROOT_VARIABLE}.")


def _describe(entry: Benchmark, root: Path | None) -> dict[str, object]:
    return {
        "name": entry.name,
        "title": entry.title,
        "classes": entry.classes,
        "sizes": entry.sizes,
        "domains": list(entry.domains),
        "terms": entry.terms,
        "url": entry.url,
        "template": entry.template,
        "found": None if root is None else entry.find(root) is not None,
    }


def _sizes(entry: Benchmark) -> str:
    if entry.domains:
        return f"{entry.images:,} in {len(entry.domains)} domains"
    splits = ("train", "val", "test")
    return " / ".join(f"{entry.sizes[x]:,}" if x in entry.sizes else "-" for x in splits)


def _found(entry: Benchmark, root: Path | None) -> str:
    if root is None:
        return "-"
    return "no" if entry.find(root) is None else "yes"


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
        print(f"note: {note}")
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
