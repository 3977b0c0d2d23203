"""One line of a results folder as typed values: a finished cell of a benchmark grid."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from crossprompt.bench.grid import ORDERS
from crossprompt.bench.grid import Cell as Asked
from crossprompt.bench.protocols import PROTOCOLS as BENCH_PROTOCOLS
from crossprompt.bench.report.fields import Fields
from crossprompt.bench.results import FORMAT, VERSION
from crossprompt.classifier.classifier import Inference
from crossprompt.errors import RequestError

PROTOCOLS = tuple(BENCH_PROTOCOLS)
"""In the order of the report."""
INFERENCE: tuple[str, ...] = get_args(Inference)
"""Rules by which a trained method answers."""


@dataclass(frozen=True)
class Cell(Asked):
    """What was asked for, as a report has it."""

    joint: str = ""
    """The data sets that were learned together, where ``dataset`` is one of several."""


@dataclass(frozen=True)
class Outcome:
    """How well a cell's classifier does on one test set. Shares are 0 to 1."""

    name: str
    """Of the test set."""
    dataset: str
    """The data set that it belongs to."""
    accuracy: float
    """Share of images whose most probable class is right."""
    n: int
    """Number of images."""
    per_class: Mapping[str, float]
    """Share of each class's images that are right."""


@dataclass(frozen=True)
class Record:
    """A finished cell, what came out, and what it depends on."""

    cell: Cell
    """What was asked for."""
    outcomes: tuple[Outcome, ...]
    """One per test set, the protocol's main one first."""
    settings: Mapping[str, Any]
    """Of the method and of the training, in full."""
    trained_parameters: int
    """Numbers that were learned."""
    classifier_bytes: int
    """Size of the frozen classifier."""
    seconds: Mapping[str, float]
    """To train and to evaluate."""
    weights_hash: str
    """Of the backbone."""
    data_fingerprint: str
    """Of the data set trained on."""
    versions: Mapping[str, str]
    """Library to version."""
    machine: str
    """In words."""

    def outcome(self, name: str) -> Outcome | None:
        """The result on the test set called ``name``, if there is one."""
        return next((found for found in self.outcomes if found.name == name), None)


def canonical(value: Any) -> str:
    """The same text for the same plain values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def shots_in_words(*shots: int) -> str:
    """Training images per class."""
    return f"{', '.join(map(str, shots))} {'shot' if shots == (1,) else 'shots'}"


def parse(line: bytes, where: str) -> Record:
    """Read one line.

    Args:
        line: one JSON object.
        where: file and line number, for errors.

    Raises:
        RequestError: it is no JSON object, of another format or version, or a value is missing or
            impossible.
    """
    try:
        values = json.loads(line)
    except ValueError as error:
        raise RequestError(
            f"{where} is not JSON ({error}); remove the line, and crossprompt bench computes its "
            "cell anew"
        ) from error
    fields = Fields(values, where)
    found, version = fields.values.get("format"), fields.values.get("version")
    if (found, version) != (FORMAT, VERSION):
        raise RequestError(
            f"{where}: found format {found!r}, version {version!r}, expected {FORMAT!r}, version "
            f"{VERSION}; only lines that crossprompt bench wrote can be reported, and newer ones "
            "need a newer crossprompt"
        )
    return Record(
        cell=parse_cell(fields.inner("cell")),
        outcomes=tuple(_outcome(inner) for inner in fields.each("results")),
        settings=fields.take("settings", dict),
        trained_parameters=fields.take("trained_parameters", int),
        classifier_bytes=fields.take("classifier_bytes", int),
        seconds=fields.numbers("seconds"),
        weights_hash=fields.take("weights_hash", str),
        data_fingerprint=fields.take("data_fingerprint", str),
        versions={name: str(v) for name, v in fields.take("versions", dict).items()},
        machine=fields.take("machine", str),
    )


def parse_cell(fields: Fields) -> Cell:
    """The cell of a line.

    Raises:
        RequestError: a value is missing or impossible.
    """
    inference = fields.one_of("inference", INFERENCE)
    size, order = fields.optional("test_batch_size", int), fields.optional("batch_order", str)
    if inference == "batch":
        fields.one_of("batch_order", ORDERS)
        fields.take("test_batch_size", int)
    elif (size, order) != (None, None):
        raise RequestError(
            f"{fields.where}: test_batch_size {size!r} and batch_order {order!r} are given, "
            f"expected null where the inference is {inference!r}"
        )
    return Cell(
        protocol=fields.one_of("protocol", PROTOCOLS),
        dataset=fields.take("dataset", str),
        method=fields.take("method", str),
        options=fields.take("options", dict),
        training=fields.take("training", dict),
        backbone=fields.take("backbone", str),
        dtype=fields.take("dtype", str),
        shots=fields.take("shots", int),
        seed=fields.take("seed", int),
        inference=inference,
        test_batch_size=size,
        batch_order=order,
        targets=fields.texts("targets") if "targets" in fields.values else (),
    )


def _outcome(fields: Fields) -> Outcome:
    per_class = fields.inner("per_class")
    return Outcome(
        name=fields.take("name", str),
        dataset=fields.take("dataset", str),
        accuracy=fields.share("accuracy"),
        n=fields.take("n", int),
        per_class={name: per_class.share(name) for name in per_class.values},
    )
