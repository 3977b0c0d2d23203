"""A file of rows on its way: a folder beside it, from which a killed run goes on.

``answers.csv.partial/`` holds the rows so far, ``settings.json``, what they depend on, and
``progress.json``: how many bytes of the rows are finished, and where the inputs stood. Bytes beyond
those are of a moment that was not finished, and are written again.
"""

import csv
import hashlib
import io
import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossprompt.data.image_refs import Input
from crossprompt.errors import RequestError
from crossprompt.inference.base import Prediction
from crossprompt.inference.bulk.sources import import_parquet
from crossprompt.utils.files import atomic_write, ensure_writable
from crossprompt.utils.text import escape_control_characters


@dataclass(frozen=True)
class Mark:
    """The end of some groups of inputs."""

    rows: int = 0
    """Inputs before it."""
    names: str = ""
    """A hash of their names."""
    versions: str = ""
    """A hash of their versions."""

    def after(self, group: Sequence[Input]) -> "Mark":
        """The end of one group more."""
        return Mark(
            self.rows + len(group),
            _chained(self.names, [given.name for given in group]),
            _chained(self.versions, [given.version() for given in group]),
        )


def _chained(before: str, words: Sequence[str]) -> str:
    digest = hashlib.sha256(before.encode())
    for word in words:
        data = word.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


class Rows(ABC):
    """A form of rows.

    Args:
        top_k: how many classes an answer lists.
    """

    def __init__(self, top_k: int) -> None:
        self.top_k = top_k

    @property
    def header(self) -> str:
        """What comes before all rows."""
        return ""

    @abstractmethod
    def row(self, answer: Prediction) -> str:
        """An answer, with the end of its line."""


class TableRows(Rows):
    """For people."""

    def row(self, answer: Prediction) -> str:
        """The image, then its classes with their shares."""
        told = f"error: {answer.error}"
        if answer.error is None:
            told = "  ".join(f"{name} {100 * share:.1f} %" for name, share in answer.top)
        return escape_control_characters(f"{answer.path}: {told}") + "\n"


class CsvRows(Rows):
    """For spreadsheets; a probability has six decimals."""

    @property
    def header(self) -> str:
        """Names of the columns."""
        return _csv_line(columns(self.top_k))

    def row(self, answer: Prediction) -> str:
        """A cell for each column."""
        cells = [cell for name, share in answer.top for cell in (name, f"{share:.6f}")]
        return _csv_line([answer.path, *(cells or [""] * (2 * self.top_k)), answer.error or ""])


class JsonRows(Rows):
    """For programs: an object a line."""

    def row(self, answer: Prediction) -> str:
        """All fields of a prediction."""
        line = {
            "path": answer.path,
            "label": answer.label,
            "probability": answer.probability,
            "top": answer.top,
            "error": answer.error,
        }
        return json.dumps(line, ensure_ascii=False) + "\n"


FORMS: dict[str, type[Rows]] = {"table": TableRows, "csv": CsvRows, "jsonl": JsonRows}
"""By the name that a user gives."""


def columns(top_k: int) -> list[str]:
    """Of a table: the first class is the label, the others have their rank."""
    ranks = [
        cell for rank in range(2, top_k + 1) for cell in (f"label_{rank}", f"probability_{rank}")
    ]
    return ["path", "label", "probability", *ranks, "error"]


def _csv_line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


FORMAT, VERSION = "crossprompt-predictions", 1
SECONDS = 5.0
"""Between two times that progress is made safe."""
SETTINGS, PROGRESS, LOCK = "settings.json", "progress.json", ".lock"


@dataclass(frozen=True)
class Progress:
    """What of a run is safe."""

    mark: Mark = field(default_factory=Mark)
    size: int = 0
    """Bytes of rows, the header included."""
    failed: int = 0
    """Rows with an error."""
    complete: bool = False
    """Whether these are all rows."""


class PartialFile:
    """Rows that become a file when they are complete.

    Args:
        output: the file.
        form: ``csv``, ``jsonl`` or ``parquet``.
        top_k: how many classes a row lists.
        settings: what the rows depend on, as JSON; words of the command line where there are any.

    Raises:
        RequestError: ``output`` is a folder.
    """

    def __init__(self, output: Path, form: str, top_k: int, settings: Mapping[str, Any]) -> None:
        if output.is_dir():
            raise RequestError(f"--output {output} is a folder; give a file to write")
        self.output, self.form, self.top_k = output, form, top_k
        self.folder = output.with_name(f"{output.name}.partial")
        self.settings = {"format": FORMAT, "version": VERSION, **settings}
        self.written = "jsonl" if form == "parquet" else form
        self._rows, self._path = FORMS[self.written](top_k), self.folder / f"rows.{self.written}"
        self._lock = FileLock(self.folder / LOCK)
        self._done, self._safe_since = Progress(), time.monotonic()

    @property
    def failed(self) -> int:
        """Rows with an error so far."""
        return self._done.failed

    @property
    def mark(self) -> Mark:
        """Where the next row begins."""
        return self._done.mark

    def open(self, restart: bool = False) -> None:
        """Begin, or go on where an earlier process was stopped.

        Args:
            restart: begin in any case.

        Raises:
            RequestError: another process is at it, or what is there belongs to other settings or
                is damaged.
        """
        ensure_writable(self.output.parent)
        self.folder.mkdir(exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RequestError(
                f"another process is writing {self.output}; wait for it, or give another --output"
            ) from error
        try:
            if restart or not (self.folder / PROGRESS).exists():
                self._begin()
            else:
                self._go_on()
            self._file = self._path.open("r+b")
            self._file.seek(self._done.size)
            self._file.truncate()
        except BaseException:
            self._lock.release()
            raise

    def append(self, answers: Sequence[Prediction], mark: Mark) -> None:
        """Add the rows of the inputs up to a mark."""
        text = "".join(self._rows.row(answer) for answer in answers)
        # a file name may be no text in any encoding: its bytes are kept
        self._file.write(text.encode("utf-8", "surrogateescape"))
        failed = sum(answer.error is not None for answer in answers)
        self._done = Progress(mark, self._file.tell(), self._done.failed + failed)
        if time.monotonic() - self._safe_since >= SECONDS:
            self.make_safe()

    def make_safe(self) -> None:
        """Put all rows so far on the disk, and say so in ``progress.json``."""
        self._file.flush()
        os.fsync(self._file.fileno())
        _write(self.folder / PROGRESS, asdict(self._done))
        self._safe_since = time.monotonic()

    def close(self) -> None:
        """Stop; what has been written stays, if it is anything."""
        self._file.close()
        self._remove_empty()
        self._lock.release()

    def finish(self) -> None:
        """Put the file into its place, and remove everything else."""
        self._done = replace(self._done, complete=True)
        self.make_safe()
        self._file.close()
        if self.form == "parquet":
            atomic_write(self.output, lambda path: write_parquet(self._path, path, self.top_k))
        else:
            os.replace(self._path, self.output)
        self._remove()
        self._lock.release()

    def _begin(self) -> None:
        (self.folder / PROGRESS).unlink(missing_ok=True)
        _write(self.folder / SETTINGS, self.settings)
        self._path.write_bytes(header := self._rows.header.encode())
        self._done = Progress(size=len(header))

    def _go_on(self) -> None:
        try:
            known = json.loads((self.folder / SETTINGS).read_text("utf-8"))
            found = json.loads((self.folder / PROGRESS).read_text("utf-8"))
            self._done = Progress(**{**found, "mark": Mark(**found["mark"]), "complete": False})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise self.refuse(f"is damaged ({type(error).__name__}: {error})") from error
        if differences := list(_differences(known, self.settings)):
            raise self.refuse(f"holds rows of another run: {'; '.join(differences)}")
        if found["complete"] and not self._path.exists() and self.output.exists():
            shutil.copyfile(self.output, self._path)  # it was stopped at the very end
        size = self._path.stat().st_size if self._path.exists() else 0
        if size < self._done.size:
            reason = f"{size:,} bytes of {self._path.name} are there, {self._done.size:,} were"
            raise self.refuse(f"is damaged: {reason}")

    def refuse(self, reason: str) -> RequestError:
        """An error that says why the folder cannot be gone on from, and what to do."""
        return RequestError(
            f"{self.folder} {reason}; give the same command and images again to go on, or add "
            "--restart to begin anew"
        )

    def _remove_empty(self) -> None:
        if not self._done.mark.rows:
            self._remove()

    def _remove(self) -> None:
        (self.folder / PROGRESS).unlink(missing_ok=True)  # first: without it the rest is nothing
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    atomic_write(path, lambda partial: partial.write_text(text + "\n", "utf-8"))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Sentences about the settings that are not the same."""
    found = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            changed = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
            if changed:
                found.append(f"{', '.join(changed[:5])} changed or came or went")
        elif old != new:
            found.append(f"{name} was {old!s:.40}, is {new!s:.40}")
    return found


GROUP = 65_536
"""Rows in memory at a time, and in a row group."""


def write_parquet(lines: Path, path: Path, top_k: int) -> None:
    """Turn what ``JsonRows`` wrote into a table with the columns of ``CsvRows``.

    Args:
        lines: the rows.
        path: the file to write.
        top_k: how many classes a row lists.

    Raises:
        RequestError: pyarrow is not installed.
    """
    parquet = import_parquet(path)
    import pyarrow

    kinds = {"probability": pyarrow.float64()}
    names = columns(top_k)
    schema = pyarrow.schema(
        [(name, kinds.get(name.partition("_")[0], pyarrow.string())) for name in names]
    )
    with (
        lines.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file,
        parquet.ParquetWriter(path, schema) as writer,
    ):
        rows = (_cells(json.loads(line), top_k) for line in file)
        for group in _grouped(rows):
            table = [dict(zip(names, cells, strict=True)) for cells in group]
            writer.write_table(pyarrow.Table.from_pylist(table, schema))


def _grouped(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    while group := list(islice(rows, GROUP)):
        yield group


def _cells(row: dict[str, Any], top_k: int) -> list[Any]:
    top = [cell for pair in row["top"] for cell in pair] or [None] * (2 * top_k)
    return [_text(row["path"]), *top, None if row["error"] is None else _text(row["error"])]


def _text(value: str) -> str:
    """UTF-8, as Parquet wants it: other bytes of a file's name are written out."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
