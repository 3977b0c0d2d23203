"""The file of finished cells: one JSON object a line, appended whole or not at all.

Several processes may append to it; a process that is killed while it writes leaves a torn last
line, which readers ignore and the next writer removes.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from crossprompt.bench.cell import key_of
from crossprompt.errors import RequestError

LINES, LOCK = "lines.jsonl", ".lines.lock"
FORMAT, VERSION = "crossprompt-result", 1


class Lines:
    """The lines of a results folder.

    Args:
        folder: need not exist before the first line is appended.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / LINES
        self._known: set[str] = set()
        self._end = self._count = 0  # bytes and lines that ``_known`` is of

    def read(self) -> dict[str, dict[str, Any]]:
        """Every finished line, by the key of its cell.

        Raises:
            RequestError: a line is damaged, or of another format or version.
        """
        self._known, self._end, self._count = set(), 0, 0
        return self._read_on()

    def append(self, line: Mapping[str, Any]) -> bool:
        """Add a line; False if its cell is finished already, be it by another process.

        Args:
            line: without ``format`` and ``version``.
        """
        text = json.dumps({"format": FORMAT, "version": VERSION, **line})
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK):
            self._read_on()
            if key_of(line["cell"]) in self._known:
                return False
            if self.path.exists():
                os.truncate(self.path, self._end)  # what is torn
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            file = os.open(self.path, flags, 0o666)
            try:
                os.write(file, f"{text}\n".encode())
                os.fsync(file)
            finally:
                os.close(file)
        return True

    def _read_on(self) -> dict[str, dict[str, Any]]:
        """The lines that were not read yet; a last one without its end is torn, and is none."""
        content = b""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._end)
                content = file.read()
        content = content[: content.rfind(b"\n") + 1]
        found: dict[str, dict[str, Any]] = {}
        for line in content.splitlines():
            self._count += 1
            parsed = self._parse(line, self._count)
            found[key_of(parsed["cell"])] = parsed
        self._end += len(content)
        self._known.update(found)
        return found

    def _parse(self, text: bytes, number: int) -> dict[str, Any]:
        where = f"line {number} of {self.path}"
        try:
            line = json.loads(text)
            found = (line["format"], line["version"])
            complete = isinstance(line["cell"], dict) and isinstance(line["results"], list)
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(
                f"{where} is damaged ({error}); remove that line, and its cell is computed again"
            ) from error
        if found != (FORMAT, VERSION) or not complete:
            raise RequestError(
                f"{where} is {found[0]} version {found[1]}, expected {FORMAT} version {VERSION} "
                "with cell and results; choose another --output"
            )
        return dict(line)
