"""Parquet files: images that one lists or holds, read row group by row group; and predictions."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from PIL.Image import Image

from crossprompt.data.images import UndecodableImageError, decode_image
from crossprompt.errors import RequestError
from crossprompt.inference.base import ImageFile, Input
from crossprompt.inference.bulk.sources import Broken, TableSource, choose_column
from crossprompt.utils.optional import require_extra
from crossprompt.utils.text import one_line

ROWS = 65_536
"""Rows of predictions in memory at a time, and in a row group."""


def import_parquet(path: object) -> Any:
    """``pyarrow.parquet``; ``RequestError`` if it is not installed, which ``path`` needs."""
    require_extra("bulk", ["pyarrow"], str(path))
    from pyarrow import parquet

    return parquet


class ParquetFile(TableSource):
    """A Parquet file with a column of paths, of encoded images, or of ``{bytes, path}`` as Hugging
    Face's data sets have it.

    Raises:
        RequestError: it cannot be read, or has no such column.
    """

    def __init__(self, word: str, column: str | None = None) -> None:
        super().__init__(word)
        with _opened(word) as file:
            from pyarrow import types

            schema, groups = file.schema_arrow, range(file.num_row_groups)
            self._groups = [file.metadata.row_group(group).num_rows for group in groups]
        self._column = schema.names[choose_column(schema.names, column, word)]
        kind = schema.field(self._column).type
        if types.is_dictionary(kind):
            kind = kind.value_type
        self._lists_paths = types.is_string(kind) or types.is_large_string(kind)
        holds_images = types.is_binary(kind) or types.is_large_binary(kind)
        if types.is_struct(kind):
            holds_images = kind.get_field_index("bytes") >= 0
        if not self._lists_paths and not holds_images:
            raise RequestError(
                f"the column {self._column!r} of {word} holds {kind}; expected paths, encoded "
                "images, or a struct of bytes and path; name another with --column"
            )

    def __iter__(self) -> Iterator[Input]:
        first = 0
        for group, rows in enumerate(self._groups):
            if self._lists_paths:
                yield from self._files(group, first)
            else:
                for row in range(rows):
                    name = self.name(first + row)
                    yield ParquetImage(name, self.word, self._column, group, row)
            first += rows

    def count(self) -> int:
        return sum(self._groups)

    def _files(self, group: int, first: int) -> Iterator[Input]:
        try:
            paths = read_row_group(self.word, self._column, group)
        except RequestError as error:
            for row in range(self._groups[group]):
                yield Broken(self.name(first + row), str(error))
        else:
            for row, path in enumerate(paths, start=first):
                yield self.listed(row, path.as_py())


@dataclass(frozen=True)
class ParquetImage(Input):
    """An encoded image in a Parquet file."""

    path: str
    column: str
    group: int
    row: int

    def read(self, enough: int | None = None) -> Image:
        with _reading:  # threads that read ahead need the same row group
            value = _recent_row_group(self.path, self.column, self.group)[self.row].as_py()
        if isinstance(value, dict):
            if value["bytes"] is None and value.get("path"):
                path = os.path.join(os.path.dirname(self.path), value["path"])
                return ImageFile(self.name, path).read(enough)
            value = value["bytes"]
        if value is None:
            raise UndecodableImageError("the row holds no image")
        return decode_image(BytesIO(value), enough)

    def version(self) -> str:
        return f"{self.group}/{self.row}"


def read_row_group(path: str, column: str, group: int) -> Any:
    """One column of a row group, as a ``pyarrow.ChunkedArray``."""
    with _opened(path) as file:
        return file.read_row_group(group, columns=[column], use_threads=False)[column]


_reading = threading.Lock()
_recent_row_group = lru_cache(maxsize=2)(read_row_group)  # reading runs from one into the next


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """A ``pyarrow.parquet.ParquetFile``; faults in it are a ``RequestError``."""
    parquet = import_parquet(path)
    from pyarrow import ArrowException

    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            yield file
    except (OSError, ArrowException) as error:
        raise RequestError(f"cannot read {path}: {one_line(error):.200}") from error


def write_parquet(lines: Path, path: Path, columns: list[str]) -> None:
    """Convert JSON lines of predictions to a table with the columns of the CSV file."""
    parquet = import_parquet(path)
    import pyarrow

    kinds = {"probability": pyarrow.float64()}
    schema = pyarrow.schema(
        [(name, kinds.get(name.partition("_")[0], pyarrow.string())) for name in columns]
    )
    with (
        lines.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file,
        parquet.ParquetWriter(path, schema) as writer,
    ):
        while rows := [_row(json.loads(line), columns) for line in islice(file, ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _row(prediction: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    top = [cell for pair in prediction["top"] for cell in pair] or [None] * (len(columns) - 2)
    cells = [_utf8(prediction["path"]), *top, prediction["error"] and _utf8(prediction["error"])]
    return dict(zip(columns, cells, strict=True))


def _utf8(text: str) -> str:
    """Text as Parquet stores it: other bytes of a file's name become escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
