"""``crossprompt data``: lists the benchmark data sets and checks a copy of one."""

import argparse
import os
import re
import shlex
from pathlib import Path
from textwrap import fill, indent

from crossprompt.cli.args import add_flag, add_option
from crossprompt.cli.console import print_json, print_table, reporting
from crossprompt.data.benchmarks.catalog import BENCHMARKS, Benchmark
from crossprompt.data.benchmarks.check import Findings, check_benchmark, draw_tree
from crossprompt.data.benchmarks.lists import SPLITS_PAGE
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError
from crossprompt.utils.progress import NOTE
from crossprompt.utils.text import did_you_mean

EXAMPLE = "crossprompt data check caltech101 --root data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|check")
    listing = actions.add_parser("list", help="the data sets", allow_abbrev=False)
    checking = actions.add_parser(
        "check",
        help="report what is missing or in the wrong place",
        description="Exit code 0: complete and in its place. 1: something is wrong.",
        epilog=f"example: {EXAMPLE}",
        allow_abbrev=False,
    )
    checking.add_argument("name", help="name of the data set, see: crossprompt data list")
    add_flag(checking, "--deep", "open every image")
    root = f"folder that holds the data sets' folders (default: {ROOT_VARIABLE})"
    for action in (listing, checking):
        add_option(action, "--root", root, type=Path)
        add_flag(action, "--json", "print the answer as JSON")
        add_flag(action, "--debug", argparse.SUPPRESS)
        action.set_defaults(offered=re.findall(r"--[\w-]+", action.format_usage()))


def run(options: argparse.Namespace) -> int:
    """List, or check and report a problem with exit code 1."""
    variable = os.environ.get(ROOT_VARIABLE)
    root = options.root or (Path(variable) if variable else None)
    if root is not None and not root.is_dir():
        raise RequestError(f"{root} is no folder; give the one that holds the data sets' folders")
    if options.action == "list":
        if options.json:
            print_json([_benchmark_row(entry, root) for entry in BENCHMARKS.values()])
        else:
            _list(root)
        return 0
    name = options.name.partition(":")[0]  # all domains of pacs:sketch are checked
    if name not in BENCHMARKS:
        raise RequestError(
            f"there is no benchmark data set {name!r}; {did_you_mean(name, BENCHMARKS)} (only "
            "these have published numbers to compare with; crossprompt fit checks your own data)"
        )
    if root is None:
        raise RequestError(f"no root was given; say where data sets are: --root or {ROOT_VARIABLE}")
    with reporting() as terminal:
        progress = terminal.count("Opening images")
        found = check_benchmark(BENCHMARKS[name], root, options.deep, progress)
    if options.json:
        print_json(found.to_json())
    else:
        _show(found, root)
    return 1 if found.problems else 0


def _list(root: Path | None) -> None:
    columns = ["name", "classes", "images", "GB"]
    rows = []
    for entry in BENCHMARKS.values():
        sizes = " / ".join(
            f"{entry.sizes[x]:,}" if x in entry.sizes else "-" for x in ("train", "val", "test")
        )
        if entry.domains:
            sizes = f"{entry.images:,} in {len(entry.domains)} domains"
        size = f"{entry.archives_gb:g}" if entry.archives_gb else ""
        rows.append([entry.name, f"{entry.classes:,}", sizes, size])
        if root is not None:
            rows[-1].append("no" if entry.find(root) is None else "yes")
    print_table("Benchmark data sets", columns + ["found"] * (root is not None), rows)
    print("Images: train / val / test, as published. GB: archives, where a site states it.")
    if root is None:
        print(f"To see which are here, say where data sets are: --root or {ROOT_VARIABLE}.")
    else:
        print(f"Found: the folder of its images is in {root}. Is it complete?")
        print(f"  crossprompt data check NAME --root {shlex.quote(str(root))}")
    print("Terms, as the collections' sites state them; the pictures are mostly others':")
    names: dict[str, list[str]] = {}
    for entry in BENCHMARKS.values():
        names.setdefault(entry.terms, []).append(entry.name)
    for terms, of in names.items():
        print(fill(f"  {terms}: {', '.join(of)}", 80, subsequent_indent="    "))
    print("Also: emoji, which is drawn; a folder of class folders; a CSV file.")


def _benchmark_row(entry: Benchmark, root: Path | None) -> dict[str, object]:
    place = None if root is None else entry.find(root)
    attributes = "name title classes images sizes domains shifted archives_gb terms url template"
    return {
        **{name: getattr(entry, name) for name in attributes.split()},
        "split_file": entry.split_file or None,
        "found": None if root is None else place is not None,
        "folder": None if place is None else str(place.folder),
    }


def _show(found: Findings, root: Path) -> None:
    entry = found.benchmark
    if found.place is not None and found.classes:
        print(f"{entry.title} in {found.place.folder}")
        numbers = [("classes", found.classes, entry.classes)]
        numbers += [(name, found.sizes[name], number) for name, number in entry.sizes.items()]
        rows = [[name, f"{number:,}", f"{published:,}"] for name, number, published in numbers]
        print_table("Numbers", ["of", "found", "published"], rows)
    for note in found.notes:
        print(f"{NOTE}{note}")
    if not found.problems:
        print(f"{entry.title} is complete and in its place.")
        return
    print(f"{entry.title}: something is wrong")
    for problem in found.problems:
        print(f"  - {problem}")
    print(f"\nImages: {entry.url}  ({entry.terms})")
    if entry.split_file or "classnames.txt" in entry.files:
        print(f"{entry.split_file or 'classnames.txt'}: {SPLITS_PAGE}")
    print(f"How it should look in {root}:\n\n{indent(draw_tree(entry), '  ')}")
