"""Results files: a JSON object about a cell in every line, appended by several processes."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any, Literal, TypedDict

import msgspec
from filelock import FileLock

from crossprompt.bench.grid import key_of
from crossprompt.utils.files import decode_json, make_folder


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample (n - 1); 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0


class CellFile:
    """An append-only file of JSON objects, each about a cell.

    Args:
        path: its folder need not exist before something is added.
        kind: the type of every line; a line may have more keys.
        header: the format and version of every line.
    """

    def __init__(self, path: Path, kind: type, header: Mapping[str, Any]) -> None:
        self.path, self._kind, self._header = path, kind, header
        self._known: dict[str, dict[str, Any]] = {}
        self._end = self._count = 0  # bytes and lines that were read

    def read(self) -> dict[str, dict[str, Any]]:
        """The last line of every cell, by the cell's key; an incomplete last line is left out.

        Raises:
            RequestError: a line is damaged, or of another format or version.
        """
        self._known, self._end, self._count = {}, 0, 0
        self._read_on()
        return dict(self._known)

    def _read_on(self) -> None:
        """Read the lines that were added since."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._end)
            content = file.read()
        content = content[: content.rfind(b"\n") + 1]
        self._end += len(content)
        for text in content.splitlines():
            self._count += 1
            source = f"line {self._count} of {self.path}"
            advice = "remove that line, and its cell is computed again, or choose another --output"
            decode_json(text, self._kind, source, advice)
            line = msgspec.json.decode(text, type=dict[str, Any])
            self._known[key_of(line["cell"])] = line

    def add(
        self,
        lines: Iterable[Mapping[str, Any]],
        is_new: Callable[[dict[str, Any] | None, Mapping[str, Any]], bool],
    ) -> bool:
        """Add lines while no other process does; False if none was new.

        Args:
            lines: without ``format`` and ``version``.
            is_new: whether to add a line, after the last one of its cell or None.
        """
        make_folder(self.path.parent)
        with FileLock(self.path.parent / f".{self.path.stem}.lock"):
            self._read_on()
            new = [x for x in lines if is_new(self._known.get(key_of(x["cell"])), x)]
            if not new:
                return False
            if self.path.exists():
                os.truncate(self.path, self._end)  # removes an incomplete last line
            with self.path.open("ab") as file:
                file.writelines(f"{json.dumps({**self._header, **x})}\n".encode() for x in new)
                file.flush()
                os.fsync(file.fileno())
        return True


LINES = "lines.jsonl"
FORMAT, VERSION = "crossprompt-result", 1


class Line(TypedDict):
    """The keys of a line that are always checked."""

    format: Literal["crossprompt-result"]
    version: Literal[1]
    cell: dict[str, Any]
    results: list[Any]


class Lines(CellFile):
    """The finished cells of a results folder, a line for each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / LINES, Line, {"format": FORMAT, "version": VERSION})

    def append(self, line: Mapping[str, Any]) -> bool:
        """Add a line; False if its cell is finished already, perhaps by another process."""
        return self.add([line], lambda known, _: known is None)
