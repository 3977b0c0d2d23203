"""Lines as ``crossprompt bench`` writes them, made by hand.

To look at a report of a whole grid of them:

    python -m tests.bench.report.lines runs/sample && crossprompt report runs/sample
"""

import json
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from crossprompt.bench.report.build import Report, build_report
from crossprompt.bench.report.entries import plain
from crossprompt.bench.report.load import Record, Results, Unfinished, to_frame
from crossprompt.bench.report.tables import Table
from crossprompt.bench.results import LINES, OUTCOMES

CLASSES = ("mammal", "fruit & nut", "land vehicle", "clothing")


def line(
    dataset: str = "emoji",
    method: str = "dcp",
    accuracy: float | Mapping[str, float] = 0.5,
    *,
    protocol: str = "few-shot",
    shots: int = 8,
    seed: int = 1,
    classes: Iterable[str] = CLASSES,
    **others: Any,
) -> dict[str, Any]:
    """One line; ``accuracy`` of the test images, or test set to accuracy; other values by name."""
    results = accuracy if isinstance(accuracy, Mapping) else {"test": accuracy}
    cell = {
        "protocol": protocol,
        "dataset": dataset,
        "method": method,
        "options": {},
        "training": {},
        "backbone": "tiny",
        "dtype": "fp32",
        "shots": shots,
        "seed": seed,
        "inference": "calibrated",
        "test_batch_size": None,
        "batch_order": None,
    }
    values = {
        "format": "crossprompt-result",
        "version": 1,
        "cell": cell | {k: v for k, v in others.items() if k in cell or k == "targets"},
        "results": [_result(name, dataset, share, classes) for name, share in results.items()],
        "settings": {
            "method": {"length": 16, "depth": 9, "variant": "coupled", **others.get("options", {})},
            "training": {"epochs": 20, "lr": 0.0035, "seed": seed, **others.get("training", {})},
        },
        "trained_parameters": 12345,
        "classifier_bytes": 45678,
        "seconds": {"train": 12.5, "evaluate": 4.5},
        "weights_hash": "5f1e" * 16,
        "data_fingerprint": f"{len(dataset):02d}ab" * 16,
        "versions": {"crossprompt": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        "machine": "2 cores, 25.3 GB",
    }
    return values | {name: value for name, value in others.items() if name in values}


def batch(size: int, order: str) -> dict[str, Any]:
    """Settings of a run that answers in batches, as the authors' code does."""
    return {"inference": "batch", "test_batch_size": size, "batch_order": order}


def write_lines(folder: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    """A results folder that holds these lines."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(value) + "\n" for value in lines)
    (folder / LINES).write_text(text, "utf-8")
    return folder


def entry(line: Mapping[str, Any], state: str = "failed", reason: str = "out of luck") -> Any:
    """Entry of ``outcomes.jsonl`` for the run of a line that was not written."""
    head = {"format": "crossprompt-outcome", "version": 1}
    return {**head, "cell": line["cell"], "state": state, "reason": reason}


def write_entries(folder: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Beside the lines of a results folder."""
    text = "".join(json.dumps(value) + "\n" for value in entries)
    (folder / OUTCOMES).write_text(text, "utf-8")


def records_of(*lines: Mapping[str, Any]) -> pd.DataFrame:
    """These lines alone, as they are read."""
    return to_frame(msgspec.convert(list(lines), list[Record]), Record)


def report_of(*lines: Mapping[str, Any]) -> Report:
    """The report of these lines alone."""
    return build_report(Results(records_of(*lines), to_frame([], Unfinished)))


def table_of(name: str, *lines: Mapping[str, Any]) -> Table:
    """The table called ``name`` in their report."""
    tables = {table.name: table for table in report_of(*lines).tables}
    assert name in tables, f"{name} is none of {', '.join(tables)}"
    return tables[name]


def shown(table: Table) -> dict[str, list[str]]:
    """Row to what is read in it, our own rows alone."""
    return {row.label: [plain(entry) for entry in row.entries] for row in table.by_group[0]}


def _result(name: str, dataset: str, accuracy: float, classes: Iterable[str]) -> dict[str, Any]:
    spread = [0.2, -0.2, 0.1, -0.1]
    return {
        "name": name,
        "dataset": dataset,
        "accuracy": accuracy,
        "interval": [accuracy, accuracy],
        "macro_f1": accuracy,
        "ece": 0.1,
        "n": 840,
        "per_class": {
            one: min(max(accuracy + spread[place % 4], 0.0), 1.0)
            for place, one in enumerate(classes)
        },
    }


METHODS = {"zero_shot": (0.52, 0.0), "coop": (0.50, 0.055), "dcp": (0.53, 0.065)}
"""Accuracy without training, and what a doubling of the shots adds."""
DATASETS = {"caltech101": 0.12, "dtd": -0.05, "eurosat": 0.0}
"""Accuracy that they add."""


def sample(
    counts: Sequence[int] = (1, 2, 4, 8, 16), seeds: Sequence[int] = (1, 2, 3)
) -> list[dict[str, Any]]:
    """A grid of every protocol, with holes, as a long run leaves it."""
    draw = random.Random(1)

    def around(value: float) -> float:
        return min(max(value + draw.gauss(0, 0.008), 0.0), 1.0)

    return [
        *_few_shot(around, counts, seeds),
        *_transfer(around, seeds),
        *_inference(around, seeds),
    ]


def _few_shot(around: Any, counts: Sequence[int], seeds: Sequence[int]) -> list[dict[str, Any]]:
    lines = []
    variants = [*((name, {}) for name in METHODS), ("dcp", {"variant": "released"})]
    for (method, options), (dataset, more) in ((v, d) for v in variants for d in DATASETS.items()):
        for place, shots in enumerate(counts):
            for seed in seeds:
                start, gain = METHODS[method]
                less = 0.02 if options else 0.0
                accuracy = (
                    around(start + gain * (place + 0.5) + more - less) if gain else start + more
                )
                if not (options and dataset == "eurosat" and (shots == 16 or seed == seeds[-1])):
                    given = {"options": options, "shots": shots, "seed": seed}
                    lines.append(line(dataset, method, accuracy, **given))
    return lines


def _transfer(around: Any, seeds: Sequence[int]) -> list[dict[str, Any]]:
    lines = []
    shifted = {
        "imagenetv2": -0.07,
        "imagenet_sketch": -0.22,
        "imagenet_a": -0.21,
        "imagenet_r": 0.05,
    }
    targets = {"caltech101": 0.22, "dtd": -0.25, "eurosat": -0.23, "food101": 0.14}
    for method, (start, gain) in METHODS.items():
        for seed in seeds:
            top = start + 0.12 + gain
            sets = {"test": around(top)} | {name: around(top + d) for name, d in shifted.items()}
            given = {"shots": 16, "seed": seed, "backbone": "openai/clip-vit-base-patch16"}
            lines.append(line("imagenet", method, sets, protocol="domain-generalisation", **given))
            others = {name: around(top + d) for name, d in targets.items()}
            sets = {"imagenet": sets["test"], **others}
            lines.append(line("imagenet", method, sets, protocol="cross-dataset", **given))
            for dataset, more in DATASETS.items():
                halves = {"base": around(start + 3 * gain + more), "new": around(start + more)}
                given = {"shots": 16, "seed": seed}
                lines.append(line(dataset, method, halves, protocol="base-to-new", **given))
            for shots in (1, 8):
                base = start - 0.1 + gain * shots / 8
                styles = {"test": base, "openmoji": base - 0.08, "line-art": base - 0.12}
                sets = {name: around(value) for name, value in styles.items()}
                lines.append(line("emoji", method, sets, shots=shots, seed=seed))
    return lines


def _inference(around: Any, seeds: Sequence[int]) -> list[dict[str, Any]]:
    lines = []
    for seed in seeds:
        given = {"shots": 16, "seed": seed}
        lines.append(line("eurosat", "dcp", around(0.8), inference="per-image", **given))
        for size in (4, 16, 64):
            for order, more in {"listed": 0.05, "sorted": 0.07, "shuffled": -0.01}.items():
                accuracy = around(0.81 + more * (1 - 1 / size))
                lines.append(line("eurosat", "dcp", accuracy, **batch(size, order), **given))
    return lines


SMALL = sample((1, 16), (1, 2))
"""Enough to have everything in it."""


if __name__ == "__main__":
    write_lines(Path(sys.argv[1]), sample())
