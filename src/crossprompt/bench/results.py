"""The finished cells of a results folder, one a line; a cell is never written twice."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from crossprompt.bench.grid import key_of
from crossprompt.errors import RequestError
from crossprompt.utils.files import make_folder


class Journal:
    """Lines of one format.

    Args:
        path: of the file; its folder need not exist before something is appended.
        kind: the name of the format and its version, which stand in every line.
        fields: what every line has beside, with its type.
    """

    def __init__(self, path: Path, kind: tuple[str, int], fields: Mapping[str, type]) -> None:
        self.path, self._kind, self._fields = path, kind, fields
        self._end = self._count = 0  # bytes and lines that were read

    def read_on(self) -> list[dict[str, Any]]:
        """The lines that were not read yet; a last one without its end is torn, and is none.

        Raises:
            RequestError: a line is damaged, or of another format or version.
        """
        content = b""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._end)
                content = file.read()
        content = content[: content.rfind(b"\n") + 1]
        found = []
        for line in content.splitlines():
            self._count += 1
            found.append(self._parse(line))
        self._end += len(content)
        return found

    def read_again(self) -> list[dict[str, Any]]:
        """All lines from the first; see ``read_on``."""
        self._end = self._count = 0
        return self.read_on()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While no other process writes."""
        make_folder(self.path.parent)
        with FileLock(self.path.parent / f".{self.path.stem}.lock"):
            yield

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add lines; only while ``writing``, and when the file was read to its end.

        Args:
            lines: without format and version.
        """
        name, version = self._kind
        texts = [json.dumps({"format": name, "version": version, **line}) + "\n" for line in lines]
        if self.path.exists():
            os.truncate(self.path, self._end)  # what is torn
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        file = os.open(self.path, flags, 0o666)
        try:
            os.write(file, "".join(texts).encode())
            os.fsync(file)
        finally:
            os.close(file)

    def _parse(self, text: bytes) -> dict[str, Any]:
        where, (name, version) = f"line {self._count} of {self.path}", self._kind
        try:
            line = json.loads(text)
            found = (line["format"], line["version"])
            complete = all(isinstance(line[x], kind) for x, kind in self._fields.items())
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(
                f"{where} is damaged ({error}); remove that line, and its cell is computed again"
            ) from error
        if found != self._kind or not complete:
            raise RequestError(
                f"{where} is {found[0]} version {found[1]}, expected {name} version {version} "
                f"with {' and '.join(self._fields)}; choose another --output"
            )
        return dict(line)


LINES = "lines.jsonl"
FORMAT, VERSION = "crossprompt-result", 1


class Lines:
    """The lines of a results folder.

    Args:
        folder: need not exist before the first line is appended.
    """

    def __init__(self, folder: Path) -> None:
        fields = {"cell": dict, "results": list}
        self._journal = Journal(folder / LINES, (FORMAT, VERSION), fields)
        self._known = set[str]()

    def read(self) -> dict[str, dict[str, Any]]:
        """Every finished line, by the key of its cell.

        Raises:
            RequestError: a line is damaged, or of another format or version.
        """
        found = {key_of(line["cell"]): line for line in self._journal.read_again()}
        self._known = set(found)
        return found

    def append(self, line: Mapping[str, Any]) -> bool:
        """Add a line; False if its cell is finished already, be it by another process.

        Args:
            line: without ``format`` and ``version``.
        """
        with self._journal.writing():
            self._known.update(key_of(new["cell"]) for new in self._journal.read_on())
            if key_of(line["cell"]) in self._known:
                return False
            self._journal.append([line])
        return True
