"""The results file ``lines.jsonl``: a line for every finished cell, written once."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec
from filelock import FileLock

from crossprompt.bench.grid import key_of
from crossprompt.utils.files import make_folder
from crossprompt.utils.json_file import decode_json


class JsonLines:
    """An append-only file of JSON objects, shared by several processes.

    Args:
        path: its folder need not exist before something is appended.
        kind: the type of every line; more keys may follow.
    """

    def __init__(self, path: Path, kind: type) -> None:
        self.path, self._kind = path, kind
        self._end = self._count = 0  # bytes and lines that were read

    def read_on(self) -> list[dict[str, Any]]:
        """The lines since the last call; an incomplete last line is left out.

        Raises:
            RequestError: a line is damaged, or of another format or version.
        """
        content = b""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._end)
                content = file.read()
        content = content[: content.rfind(b"\n") + 1]
        self._end += len(content)
        return [self._decode(line) for line in content.splitlines()]

    def read_again(self) -> list[dict[str, Any]]:
        """All lines from the first; see ``read_on``."""
        self._end = self._count = 0
        return self.read_on()

    def _decode(self, line: bytes) -> dict[str, Any]:
        self._count += 1
        source = f"line {self._count} of {self.path}"
        advice = "remove that line, and its cell is computed again, or choose another --output"
        decode_json(line, self._kind, source, advice)
        return msgspec.json.decode(line, type=dict[str, Any])

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes from writing."""
        make_folder(self.path.parent)
        with FileLock(self.path.parent / f".{self.path.stem}.lock"):
            yield

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add lines; only while ``writing``, and after ``read_on``."""
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        if not text:
            return
        if self.path.exists():
            os.truncate(self.path, self._end)  # removes an incomplete last line
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


LINES = "lines.jsonl"
FORMAT, VERSION = "crossprompt-result", 1


class Line(TypedDict):
    """The keys of a line that are always checked."""

    format: Literal["crossprompt-result"]
    version: Literal[1]
    cell: dict[str, Any]
    results: list[Any]


class Lines:
    """The lines of a results folder.

    Args:
        folder: need not exist before the first line is appended.
    """

    def __init__(self, folder: Path) -> None:
        self._file = JsonLines(folder / LINES, Line)
        self._finished = set[str]()

    def read(self) -> dict[str, dict[str, Any]]:
        """Every line, by the key of its cell.

        Raises:
            RequestError: a line is damaged, or of another format or version.
        """
        found = {key_of(line["cell"]): line for line in self._file.read_again()}
        self._finished = set(found)
        return found

    def append(self, line: Mapping[str, Any]) -> bool:
        """Add a line; False if its cell is finished already, perhaps by another process.

        Args:
            line: without ``format`` and ``version``.
        """
        with self._file.writing():
            self._finished.update(key_of(new["cell"]) for new in self._file.read_on())
            if key_of(line["cell"]) in self._finished:
                return False
            self._file.append([{"format": FORMAT, "version": VERSION, **line}])
        return True
