"""Images that a CSV file lists."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crossprompt.bulk.source import Table, choose_column
from crossprompt.data.inputs import Broken, ImageFile, Input
from crossprompt.errors import RequestError


class CsvFile(Table):
    """A CSV file: UTF-8, commas, names of columns in the first line; see ``load_csv``.

    Args:
        word: the file.
        column: with the paths; one of ``COLUMNS`` by default.

    Raises:
        RequestError: it cannot be read, or has no such column.
    """

    def __init__(self, word: str, column: str | None = None) -> None:
        super().__init__(word)
        with self._reader() as lines:
            try:
                header = [field.strip() for field in next(lines, [])]
            except csv.Error as error:
                raise RequestError(f"{word}, line 1: {error}") from error
        self._width = len(header)
        self._column = choose_column(header, column, f"{word}, line 1,")

    def inputs(self) -> Iterator[Input]:
        """A reference for each line; a line that is not as described stands for an error."""
        with self._reader() as lines:
            next(lines)
            while True:
                try:
                    fields = next(lines, None)
                except csv.Error as error:
                    yield Broken(self.at(lines.line_num), f"no line of a CSV file: {error}")
                    continue
                if fields is None:
                    return
                if any(field.strip() for field in fields):
                    yield self._input(lines.line_num, fields)

    def count(self) -> int:
        """Lines that an answer will be given to."""
        return sum(1 for _ in self.inputs())

    def _input(self, number: int, fields: list[str]) -> Input:
        if len(fields) != self._width:
            reason = f"{len(fields)} fields, expected {self._width} as in line 1"
            return Broken(self.at(number), reason)
        path = fields[self._column].strip()
        if not path:
            return Broken(self.at(number), "the path is empty")
        return ImageFile(path, self.place(path))

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        try:
            # bytes that are no UTF-8 may be a file's name all the same
            file = self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
        except OSError as error:
            raise RequestError(f"cannot read {self.word}: {error.strerror}") from error
        with file:
            yield csv.reader(file, strict=True)
