"""Output files of predictions, written so that a killed run resumes where it stopped.

``answers.csv.partial/`` holds the rows so far, ``settings.json``, on which they depend, and
``progress.json``: the number of bytes of finished rows and the position in the inputs. A resumed
run truncates the rows to those bytes, and writes the rest again.
"""

import csv
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from msgspec import Meta

from crossprompt.errors import RequestError
from crossprompt.inference.base import Input, Prediction
from crossprompt.inference.bulk.parquet import write_parquet
from crossprompt.utils.files import atomic_write, ensure_writable, read_json
from crossprompt.utils.text import escape_control_characters

FORMAT, VERSION = "crossprompt-predictions", 1
SECONDS = 5.0
"""Time between two flushes of the rows."""
SETTINGS, PROGRESS, LOCK = "settings.json", "progress.json", ".lock"
ADVICE = "give the same command and images again to resume, or add --restart to begin anew"

Count = Annotated[int, Meta(ge=0)]


def columns(top_k: int) -> list[str]:
    """Column names of CSV and Parquet files; the classes after the first have their rank."""
    ranks = [x for rank in range(2, top_k + 1) for x in (f"label_{rank}", f"probability_{rank}")]
    return ["path", "label", "probability", *ranks, "error"]


def header(form: str, top_k: int) -> str:
    """First line of a file, empty if it has no header."""
    return _csv_line(columns(top_k)) if form == "csv" else ""


def table_row(prediction: Prediction, top_k: int) -> str:
    """One line for people, without control characters."""
    text = "  ".join(f"{name} {100 * share:.1f} %" for name, share in prediction.top)
    if prediction.error is not None:
        text = f"error: {prediction.error}"
    return escape_control_characters(f"{prediction.path}: {text}") + "\n"


def csv_row(prediction: Prediction, top_k: int) -> str:
    """One line with the cells of ``columns``; a probability has six decimals."""
    top = [cell for name, share in prediction.top for cell in (name, f"{share:.6f}")]
    return _csv_line([prediction.path, *(top or [""] * (2 * top_k)), prediction.error or ""])


def jsonl_row(prediction: Prediction, top_k: int) -> str:
    """One line with a JSON object of all fields of a prediction."""
    return json.dumps(vars(prediction), ensure_ascii=False) + "\n"


ROWS: dict[str, Callable[[Prediction, int], str]] = {
    "table": table_row,
    "csv": csv_row,
    "jsonl": jsonl_row,
}
"""Formats of text: a prediction and the number of classes in a row, to that row."""


def _csv_line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


@dataclass(frozen=True)
class Mark:
    """Position in the inputs: the end of a batch."""

    rows: Count = 0
    """Number of inputs before it."""
    names: str = ""
    """Chained hash of their names."""
    versions: str = ""
    """Chained hash of their versions."""

    def after(self, batch: Sequence[Input]) -> "Mark":
        """The end of the next batch."""
        return Mark(
            self.rows + len(batch),
            _chain_hash(self.names, (image.name for image in batch)),
            _chain_hash(self.versions, (image.version() for image in batch)),
        )


def _chain_hash(before: str, texts: Iterable[str]) -> str:
    """SHA-256 of an earlier hash and more texts."""
    digest = hashlib.sha256(before.encode())
    for text in texts:
        data = text.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Progress:
    """Content of ``progress.json``."""

    mark: Mark = field(default_factory=Mark)
    size: Count = 0
    """Bytes of rows, the header included."""
    failed: Count = 0
    """Rows with an error."""
    complete: bool = False
    """True once all rows are written."""


class PartialFile:
    """Rows that become a file once they are complete.

    Args:
        output: the file.
        form: ``csv``, ``jsonl`` or ``parquet``.
        top_k: number of classes in a row.
        settings: everything that the rows depend on, as JSON; names are shown to the user.

    Raises:
        RequestError: ``output`` is a folder.
    """

    def __init__(self, output: Path, form: str, top_k: int, settings: Mapping[str, Any]) -> None:
        if output.is_dir():
            raise RequestError(f"--output {output} is a folder; give a file to write")
        self.output, self.form, self.top_k = output, form, top_k
        self.folder = output.with_name(f"{output.name}.partial")
        self.settings = {"format": FORMAT, "version": VERSION, **settings}
        self._text_form = "jsonl" if form == "parquet" else form
        self._path = self.folder / f"rows.{self._text_form}"
        self.progress, self._saved_at = Progress(), time.monotonic()

    @contextmanager
    def open(self, restart: bool = False) -> Iterator[None]:
        """Begin, or resume what an earlier process wrote; the file is complete after the block.

        Args:
            restart: begin in any case.

        Raises:
            RequestError: another process is writing, or the earlier rows have other settings or
                are damaged.
        """
        ensure_writable(self.output.parent)
        self.folder.mkdir(exist_ok=True)
        try:
            lock = FileLock(self.folder / LOCK).acquire(timeout=0)
        except Timeout as error:
            raise RequestError(
                f"another process is writing {self.output}; wait for it, or give another --output"
            ) from error
        with lock:
            if restart or not (self.folder / PROGRESS).exists():
                self._begin()
            else:
                self._resume()
            try:
                with self._path.open("r+b") as self._file:
                    self._file.seek(self.progress.size)
                    self._file.truncate()
                    yield
                    self.progress = replace(self.progress, complete=True)
                    self.save_progress()
                self._move()
            except BaseException:
                self._remove_empty()
                raise
            self._remove()

    def append(self, predictions: Sequence[Prediction], mark: Mark) -> None:
        """Add the rows of the inputs up to a mark."""
        row = ROWS[self._text_form]
        text = "".join(row(prediction, self.top_k) for prediction in predictions)
        # a file's name may be no text in any encoding: its bytes are kept
        self._file.write(text.encode("utf-8", "surrogateescape"))
        failed = sum(prediction.error is not None for prediction in predictions)
        self.progress = Progress(mark, self._file.tell(), self.progress.failed + failed)
        if time.monotonic() - self._saved_at >= SECONDS:
            self.save_progress()

    def save_progress(self) -> None:
        """Flush all rows so far to the disk, then replace ``progress.json``."""
        self._file.flush()
        os.fsync(self._file.fileno())
        _write_json(self.folder / PROGRESS, asdict(self.progress))
        self._saved_at = time.monotonic()

    def refuse(self, reason: str) -> RequestError:
        """The error that the folder cannot be resumed."""
        return RequestError(f"{self.folder} {reason}; {ADVICE}")

    def _begin(self) -> None:
        (self.folder / PROGRESS).unlink(missing_ok=True)
        _write_json(self.folder / SETTINGS, self.settings)
        first = header(self._text_form, self.top_k).encode()
        self._path.write_bytes(first)
        self.progress = Progress(size=len(first))

    def _resume(self) -> None:
        before = read_json(self.folder / SETTINGS, dict, ADVICE)
        found = read_json(self.folder / PROGRESS, Progress, ADVICE)
        if differences := _differences(before, self.settings):
            raise self.refuse(f"holds rows of another run: {'; '.join(differences[:5])}")
        if found.complete and not self._path.exists() and self.output.exists():
            shutil.copyfile(self.output, self._path)  # stopped after the move, before the removal
        size = self._path.stat().st_size if self._path.exists() else 0
        if size < found.size:
            raise self.refuse(
                f"is damaged: {self._path.name} has {size:,} bytes, expected {found.size:,}"
            )
        self.progress = replace(found, complete=False)

    def _move(self) -> None:
        if self.form == "parquet":
            names = columns(self.top_k)
            atomic_write(self.output, lambda path: write_parquet(self._path, path, names))
        else:
            os.replace(self._path, self.output)

    def _remove_empty(self) -> None:
        if not self.progress.mark.rows:
            self._remove()

    def _remove(self) -> None:
        (self.folder / PROGRESS).unlink(missing_ok=True)  # first: nothing is resumed without it
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    atomic_write(path, lambda partial: partial.write_text(text + "\n", "utf-8"))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One clause for each setting that changed."""
    found = []
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new)
        elif old != new:
            found.append(f"{name} was {old!s:.40}, is {new!s:.40}")
    return found
