"""``crossprompt report``: tables and pictures of a benchmark's results."""

import argparse
from pathlib import Path

from crossprompt.cli.args import add_flag, add_option
from crossprompt.cli.console import print_json, reporting
from crossprompt.utils.optional import require_extra
from crossprompt.utils.progress import NOTE

EXAMPLE = "crossprompt report results --format html latex"

FORMATS = ("html", "markdown", "latex")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="folder that crossprompt bench wrote")
    place = "folder for the report (default: report in the results)"
    add_option(parser, "--output", place, type=Path)
    add_option(
        parser,
        "--format",
        "report.html, one page that needs nothing else; report.md with its pictures; tables/*.tex "
        "(default: all)",
        nargs="+",
        choices=FORMATS,
    )
    add_flag(parser, "--json", "also print every number as JSON")


def run(options: argparse.Namespace) -> int:
    require_extra("report", ["jinja2", "matplotlib", "pandas"], "the report")
    from crossprompt.bench.report import build_report, read_results, to_json, write_report

    report = build_report(read_results(options.results))
    beside = options.results.parent if options.results.is_file() else options.results
    written = write_report(report, options.output or beside / "report", options.format or FORMATS)
    with reporting() as terminal:
        for note in report.notes:
            terminal.say(f"{NOTE}{note}")
    files = {name: [str(path) for path in paths] for name, paths in written.items()}
    if options.json:
        print_json({"files": files, **to_json(report)})
        return 0
    for name, paths in files.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        print(f"{name}: {paths[0]}{more}")
    return 0
