"""Images that a Parquet file lists or holds, read row group by row group."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL.Image import Image

from crossprompt.data.image_refs import Broken, ImageFile, Input
from crossprompt.data.images import UndecodableImageError, decode_image
from crossprompt.errors import RequestError
from crossprompt.inference.bulk.sources import Table, beside, choose_column, import_parquet
from crossprompt.utils.text import one_line

HELD = 2
"""Row groups in memory at most: reading runs from one into the next."""


class ParquetFile(Table):
    """A Parquet file with a column of paths, of encoded images, or of ``{bytes, path}`` as Hugging
    Face's data sets have it.

    Args:
        word: the file.
        column: with the images; one of ``COLUMNS`` by default.

    Raises:
        RequestError: it cannot be read, or has no such column.
    """

    def __init__(self, word: str, column: str | None = None) -> None:
        super().__init__(word)
        self._column, self._holds_bytes = "", False
        with _open(word) as file:
            schema = file.schema_arrow
            self._column = schema.names[choose_column(schema.names, column, word)]
            self._holds_bytes = _holds_bytes(schema.field(self._column).type, self)
            self._groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]

    @property
    def column(self) -> str:
        """With the images."""
        return self._column

    def inputs(self) -> Iterator[Input]:
        """A reference for each row."""
        row = 0
        for group, rows in enumerate(self._groups):
            if self._holds_bytes:
                for number in range(rows):
                    name = self.at(row + number)
                    yield Cell(name, self.word, self._column, group, number)
            else:
                yield from self._listed(group, row)
            row += rows

    def count(self) -> int:
        """As the file says."""
        return sum(self._groups)

    def _listed(self, group: int, first: int) -> Iterator[Input]:
        try:
            paths = _read(self.word, self._column, group)
        except RequestError as error:
            for number in range(self._groups[group]):
                yield Broken(self.at(first + number), str(error))
            return
        for number, cell in enumerate(paths):
            path = cell.as_py()
            if path:
                yield ImageFile(path, self.place(path))
            else:
                yield Broken(self.at(first + number), "the path is empty")


@dataclass(frozen=True)
class Cell(Input):
    """An encoded image in a Parquet file."""

    path: str
    column: str
    group: int
    row: int

    def read(self, enough: int | None = None) -> Image:
        """Read its row group, if that is not in memory, and decode this row."""
        value = row_groups.get(self.path, self.column, self.group)[self.row].as_py()
        if isinstance(value, dict):
            content, path = value.get("bytes"), value.get("path")
            if content is None and path:
                return ImageFile(self.name, beside(self.path, path)).read(enough)
            value = content
        if value is None:
            raise UndecodableImageError("the row holds no image")
        return decode_image(BytesIO(value), enough)

    def version(self) -> str:
        """Where it lies; the file's own version is its source's."""
        return f"{self.group}/{self.row}"


class RowGroups:
    """The columns of images that were asked for last, for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str, int], Any] = OrderedDict()

    def get(self, path: str, column: str, group: int) -> Any:
        """A column of a row group, of which no more than ``HELD`` are kept."""
        key = (path, column, group)
        with self._lock:
            if key not in self._held:
                while len(self._held) >= HELD:
                    self._held.popitem(last=False)
                self._held[key] = _read(path, column, group)
            self._held.move_to_end(key)
            return self._held[key]


row_groups = RowGroups()
"""Those of this process."""


def _holds_bytes(kind: Any, table: ParquetFile) -> bool:
    from pyarrow import types

    def is_text(kind: Any) -> bool:
        return types.is_string(kind) or types.is_large_string(kind)

    if types.is_dictionary(kind):
        kind = kind.value_type
    if is_text(kind):
        return False
    if types.is_binary(kind) or types.is_large_binary(kind):
        return True
    if types.is_struct(kind) and "bytes" in [kind.field(i).name for i in range(kind.num_fields)]:
        return True
    raise RequestError(
        f"the column {table.column!r} of {table.word} holds {kind}; expected paths, encoded "
        "images, or a struct of bytes and path; name another with --column"
    )


def _open(path: str) -> Any:
    parquet = import_parquet(path)
    from pyarrow import ArrowException

    try:
        return parquet.ParquetFile(path, pre_buffer=False)
    except (OSError, ArrowException) as error:
        raise RequestError(f"cannot read {path}: {one_line(error)}") from error


def _read(path: str, column: str, group: int) -> Any:
    """A column of a row group."""
    from pyarrow import ArrowException

    with _open(path) as file:
        try:
            return file.read_row_group(group, columns=[column], use_threads=False)[column]
        except (OSError, ArrowException) as error:
            reason = one_line(error)
            raise RequestError(f"row group {group} of {path} is damaged: {reason:.200}") from error
