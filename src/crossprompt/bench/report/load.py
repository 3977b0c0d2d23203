"""Reads a results folder into tables of runs: those with a result, and those without."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import pandas as pd

from crossprompt.bench.grid import Cell
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.results import LINES, OUTCOMES, CellFile, RunState
from crossprompt.classifier.classifier import Inference
from crossprompt.errors import RequestError

INFERENCE: tuple[str, ...] = get_args(Inference)
STATES = {"failed": "failed", "asked": "missing", "not applicable": "not applicable"}
"""Status of a run without a result, as the report calls it; the first of several counts."""
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True)
class CheckedCell(Cell):
    """A run's settings, checked for what the report distinguishes."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"found {self.protocol!r}, expected one of {', '.join(PROTOCOLS)}")
        batch = (self.test_batch_size, self.batch_order)
        if any((value is None) == (self.inference == "batch") for value in batch):
            expected = "both" if self.inference == "batch" else "null"
            raise ValueError(f"found test_batch_size and batch_order {batch}, expected {expected}")


@dataclass(frozen=True)
class SetAccuracy:
    """Accuracy on one test set, and of each of its classes."""

    name: str
    dataset: str
    accuracy: Fraction
    per_class: dict[str, Fraction]


@dataclass(frozen=True)
class Record:
    """One record of ``lines.jsonl``: a finished run, its results, and what they depend on."""

    format: Literal["crossprompt-result"]
    version: Literal[1]
    cell: CheckedCell
    results: Annotated[list[SetAccuracy], msgspec.Meta(min_length=1)]
    """One per test set, the protocol's main one first."""
    settings: dict[str, Any]
    trained_parameters: int
    classifier_bytes: int
    seconds: dict[str, float]
    weights_hash: str
    data_fingerprint: str
    versions: dict[str, Any]
    machine: str


@dataclass(frozen=True)
class Unfinished:
    """One record of ``outcomes.jsonl``: the status of a run without a result."""

    format: Literal["crossprompt-outcome"]
    version: Literal[1]
    cell: CheckedCell
    state: RunState
    reason: str


@dataclass(frozen=True)
class Results:
    """Runs of a results folder, one per row, with the columns of ``CheckedCell`` and the record."""

    records: pd.DataFrame
    """Finished runs."""
    unfinished: pd.DataFrame
    """Runs without a result, with ``state`` and ``reason``."""
    notes: tuple[str, ...] = ()
    """Warnings for the reader: records left out, and numbers that do not compare."""


def read_results(folder: Path) -> Results:
    """Read every run of a results folder, or of its ``lines.jsonl`` itself.

    A torn last line is left out with a note, as are all but the last record of a run.

    Raises:
        RequestError: there are no records, or one is malformed; the file and the line are named.
    """
    path = folder if folder.is_file() else folder / LINES
    if not path.is_file():
        raise RequestError(f"found no {LINES} in {folder}; give the --output of crossprompt bench")
    file = CellFile(path, Record)
    numbered, notes = list(file.read_on()), list[str]()
    if file.torn:
        notes.append(
            f"The last line of {path} (line {file.count + 1}) has no end: it was being written "
            "when the writer stopped, and is left out. crossprompt bench computes its cell anew."
        )
    numbers: dict[str, int] = {}
    records: dict[str, Record] = {}
    for number, record in numbered:
        cell, key = record.cell, record.cell.key
        if key in numbers:
            about = f"{cell.method} on {cell.dataset}, {count_shots(cell.shots)}, seed {cell.seed}"
            notes.append(
                f"Lines {numbers[key]} and {number} of {path} are of the same cell ({about}); the "
                "last one counts."
            )
        numbers[key], records[key] = number, record
    if not records:
        raise RequestError(f"{path} holds no finished cell yet; run crossprompt bench first")
    found = to_frame(list(records.values()), Record)
    outcomes = CellFile(path.with_name(OUTCOMES), Unfinished)
    last = {one.cell.key: one for _, one in outcomes.read_on()}
    unfinished = [one for key, one in last.items() if key not in records]
    return Results(found, to_frame(unfinished, Unfinished), (*notes, *disagreements(found)))


def to_frame(found: Sequence[Record | Unfinished], kind: type) -> pd.DataFrame:
    """Table with a row per run; those that differ only in their targets have the same ``run``."""
    rows = [
        vars(one) | vars(one.cell) | {"run": replace(one.cell, targets=()).key} for one in found
    ]
    columns = [field.name for field in (*fields(kind), *fields(CheckedCell))]
    frame = pd.DataFrame(rows, columns=[*columns, "run"], dtype=object)  # Python's None, int, dict
    return frame.replace({"state": STATES}) if kind is Unfinished else frame


def to_scores(records: pd.DataFrame) -> pd.DataFrame:
    """Table with a row per run and test set, and the columns of ``SetAccuracy``."""
    scores = records.explode("results", ignore_index=True)
    results = pd.DataFrame([vars(result) for result in scores.results], dtype=object)
    return scores.join(results.rename(columns={"name": "test", "dataset": "test_dataset"}))


def disagreements(records: pd.DataFrame) -> list[str]:
    """Warnings about runs whose names agree and whose weights, data or accuracies do not."""
    weights = records.groupby("backbone", sort=False).weights_hash.unique()
    data = records.groupby(["protocol", "dataset"], sort=False).data_fingerprint.unique()
    tests = to_scores(records).groupby(["run", "test_dataset", "test"], sort=False, as_index=False)
    shared = tests[["method", "dataset", "seed"]].first()
    shared["different"] = tests.accuracy.nunique().accuracy
    return [
        *(
            f"Lines of the backbone {name} come from {len(found)} different sets of weights "
            f"({_shorten(found)}): their numbers do not compare."
            for name, found in weights.items()
            if len(found) > 1
        ),
        *(
            f"Lines of the data set {name} ({protocol}) come from {len(found)} different versions "
            f"of it (fingerprints {_shorten(found)}): their numbers do not compare."
            for (protocol, name), found in data.items()
            if len(found) > 1
        ),
        *(
            f"Lines that differ only in their targets give {row.different} different accuracies "
            f"of {row.method} trained on {row.dataset}, seed {row.seed}, tested on {row.test}; "
            "the first one counts."
            for row in shared[shared.different > 1].itertuples()
        ),
    ]


def count_shots(*shots: int) -> str:
    """Number of training images per class, as text."""
    return f"{', '.join(map(str, shots))} {'shot' if shots == (1,) else 'shots'}"


def _shorten(hashes: Iterable[str]) -> str:
    return ", ".join(sorted(value[:12] for value in hashes))
