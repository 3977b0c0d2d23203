"""Writes the tables and the plot of docs/performance.md from the benchmarks' documents.

    python -m benchmarks.step_time --json > runs/step_time.json
    python -m benchmarks.memory --json > runs/memory.json
    python -m benchmarks.report runs/step_time.json runs/memory.json

Replaces the tables between markers such as ``<!-- step_time -->`` and ``<!-- /step_time -->``; the
rest of the page stays. A missing page is created.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    bulk,
    cocoop,
    compiled,
    data_loading,
    document,
    inference,
    machine,
    memory,
    saving,
    serving,
    step_time,
)
from benchmarks.document import Document
from benchmarks.picture import plot

TABLES: dict[str, Callable[[Document], str]] = {
    "step_time": step_time.table,
    "memory": memory.table,
    "saving": saving.table,
    "inference": inference.table,
    "data_loading": data_loading.table,
    "compiled": compiled.table,
    "cocoop": cocoop.table,
    "serving": serving.table,
    "bulk": bulk.table,
}
TITLES = {
    "step_time": "Training step",
    "memory": "Peak memory",
    "saving": "Activation checkpointing",
    "inference": "Inference",
    "data_loading": "Reading images",
    "compiled": "torch.compile",
    "cocoop": "CoCoOp",
    "serving": "Serving",
    "bulk": "Many images",
}


def main(arguments: Sequence[str] | None = None) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("documents", type=Path, nargs="+", help="from the scripts' --json")
    parser.add_argument("--output", type=Path, default=Path("docs/performance.md"))
    parser.add_argument(
        "--suffix", default="", help="suffix of the markers, for another machine: -cuda"
    )
    options = parser.parse_args(arguments)
    found = {}
    for path in options.documents:
        read = json.loads(path.read_text("utf-8"))
        found[read["benchmark"]] = read
    written = options.output.read_text("utf-8") if options.output.exists() else "# Performance\n"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(insert(written, found, options.suffix), "utf-8")
    if {"step_time", "memory"} <= found.keys():
        name = f"{options.output.stem}{options.suffix}.png"
        plot(found["step_time"], found["memory"], options.output.with_name(name))


def insert(written: str, found: Mapping[str, Document], suffix: str = "") -> str:
    """Insert every table between its markers.

    Raises:
        ValueError: a table's first marker is there without its last.
    """
    for name, measured in found.items():
        written = document.insert(
            written, f"{name}{suffix}", section(measured), f"{TITLES[name]}{suffix}"
        )
    return written


def section(measured: Document) -> str:
    """Command, machine and table."""
    return (
        f"`{measured['command']}`\n\n{machine.summarize(measured['machine'])}\n\n"
        f"{TABLES[measured['benchmark']](measured)}"
    )


if __name__ == "__main__":
    main()
