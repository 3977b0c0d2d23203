"""Results files: one record (a JSON object on one line) per run, appended by several processes."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any, Literal, NotRequired, TypedDict, get_args

from filelock import FileLock

from crossprompt.bench.grid import Cell, key_of
from crossprompt.utils.files import decode_json, make_folder

LINES, OUTCOMES = "lines.jsonl", "outcomes.jsonl"
"""Runs with a result, and the status of runs without one."""


class ResultRecord(TypedDict):
    """The keys of ``lines.jsonl`` that are needed to resume a grid."""

    format: Literal["crossprompt-result"]
    version: Literal[1]
    cell: dict[str, Any]
    results: list[Any]
    data_fingerprint: NotRequired[str]
    weights_hash: NotRequired[str]


RunState = Literal["asked", "failed", "not applicable"]
"""A run is pending, has raised an error, or its method cannot do what the protocol requires."""


class OutcomeRecord(TypedDict):
    """The keys of ``outcomes.jsonl``."""

    format: Literal["crossprompt-outcome"]
    version: Literal[1]
    cell: dict[str, Any]
    state: RunState
    reason: str


class CellFile:
    """An append-only file of records, each of a run; the last one of a run counts.

    Args:
        path: the file; its folder is made when a record is added.
        kind: the type of every record; other keys are left out.
    """

    def __init__(self, path: Path, kind: type) -> None:
        self.path, self._kind = path, kind
        self._known: dict[str, dict[str, Any]] = {}
        self._end = self.count = 0
        """Bytes and lines that were read."""
        self.torn = False
        """True if the last line had no end when it was read."""

    def read_on(self) -> Iterator[tuple[int, Any]]:
        """Line number and contents of each record added since; a torn last line is left out.

        Raises:
            RequestError: a record is damaged, or of another format or version.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._end)
            *lines, rest = file.read().split(b"\n")
        self.torn = bool(rest)
        advice = "remove the line, and crossprompt bench computes its cell anew"
        for line in lines:
            number = self.count + 1
            source = f"{self.path}, line {number}"
            found = decode_json(line, self._kind, source, advice) if line.strip() else None
            self._end, self.count = self._end + len(line) + 1, number
            if found:
                yield number, found

    def read(self) -> dict[str, dict[str, Any]]:
        """The last record of every run, by the key of its cell."""
        for _, record in self.read_on():
            self._known[key_of(record["cell"])] = record
        return dict(self._known)

    def add(
        self,
        records: Iterable[Mapping[str, Any]],
        is_new: Callable[[dict[str, Any] | None, Mapping[str, Any]], bool],
    ) -> bool:
        """Add the records for which ``is_new(last record of the run or None, record)``, while
        no other process writes; False if there are none."""
        make_folder(self.path.parent)
        with FileLock(self.path.parent / f".{self.path.stem}.lock"):
            known = self.read()
            new = [x for x in records if is_new(known.get(key_of(x["cell"])), x)]
            if not new:
                return False
            if self.path.exists():
                os.truncate(self.path, self._end)  # removes a torn last line
            types = self._kind.__annotations__
            header = {name: get_args(types[name])[0] for name in ("format", "version")}
            with self.path.open("ab") as file:
                file.writelines(f"{json.dumps({**header, **x})}\n".encode() for x in new)
                file.flush()
                os.fsync(file.fileno())
        return True


class Lines(CellFile):
    """The finished runs of a results folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / LINES, ResultRecord)

    def append(self, record: Mapping[str, Any]) -> bool:
        """Add a record; False if its run is finished already, perhaps by another process."""
        return self.add([record], lambda known, _: known is None)


class Outcomes(CellFile):
    """The runs of a results folder without a result; a record is ignored once there is one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / OUTCOMES, OutcomeRecord)

    def ask(self, cells: Iterable[Cell]) -> None:
        """Add runs that are to be computed; an earlier record of a run stays."""
        records = [{"cell": cell.to_json(), "state": "asked", "reason": ""} for cell in cells]
        self.add(records, lambda known, _: known is None)

    def note(self, cells: Iterable[Cell], state: RunState, reason: str) -> None:
        """Add the status of runs, unless their last record is the same."""
        records = [{"cell": cell.to_json(), "state": state, "reason": reason} for cell in cells]
        self.add(records, lambda known, new: known is None or not new.items() <= known.items())


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample (n - 1); 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0
