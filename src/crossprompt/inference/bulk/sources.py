"""Sources of images: files, folders, standard input and CSV files."""

import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL.Image import Image

from crossprompt.data.csv_file import CsvRow, read_csv
from crossprompt.data.files import is_image_name, walk
from crossprompt.data.images import UndecodableImageError
from crossprompt.errors import RequestError
from crossprompt.inference.base import ImageFile, Input, version_of_file

COLUMNS = ("path", "image", "filepath", "file")
"""Default names of the column of images; the first that exists is taken."""


class Source(ABC):
    """Images in a fixed order; every iteration starts from the first. ``word`` is the user's."""

    def __init__(self, word: str) -> None:
        self.word = word

    @abstractmethod
    def __iter__(self) -> Iterator[Input]:
        """Every image, or an error in its place; never all of them in memory."""

    def count(self) -> int | None:
        """Number of images; None if finding out needs as much reading as the images."""
        return None

    def version(self) -> str:
        """Changes with the source's file; empty where the inputs' own versions suffice."""
        return ""


class OneFile(Source):
    def __iter__(self) -> Iterator[Input]:
        yield ImageFile(self.word, self.word)

    def count(self) -> int:
        return 1


class Folder(Source):
    """The image files in a folder and the folders in it, sorted by path.

    Raises:
        RequestError: there are none.
    """

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self._count = sum(1 for _ in self)
        if not self._count:
            raise RequestError(f"the folder {word} holds no image files")

    def __iter__(self) -> Iterator[Input]:
        for path in walk(Path(self.word)):
            if is_image_name(path):
                yield ImageFile(path, path)

    def count(self) -> int:
        return self._count


class StandardInput(Source):
    """Paths on standard input, one a line; ``begin`` is called before the first is awaited."""

    def __init__(self, word: str, begin: Callable[[], None]) -> None:
        super().__init__(word)
        self._begin = begin

    def __iter__(self) -> Iterator[Input]:
        """Raises ``RequestError`` if there is no path."""
        self._begin()
        if isinstance(sys.stdin, io.TextIOWrapper):  # tests and notebooks replace it
            sys.stdin.reconfigure(errors="surrogateescape")  # a file's name may be no UTF-8
        path = None
        for path in filter(str.strip, sys.stdin):
            path = path.rstrip("\r\n")
            yield ImageFile(path, path)
        if path is None:
            raise RequestError("standard input is empty; give one path a line, or name the images")


@dataclass(frozen=True)
class Broken(Input):
    """Stands in the place of an image that cannot be found; reading it raises the reason."""

    reason: str

    def read(self, enough: int | None = None) -> Image:
        raise UndecodableImageError(self.reason)

    def version(self) -> str:
        return self.reason


class TableSource(Source):
    """A file that lists or holds many images."""

    def version(self) -> str:
        return version_of_file(self.word)

    def name(self, row: object) -> str:
        """Name of an image without a path of its own."""
        return f"{self.word}#{row}"

    def listed(self, row: object, path: str | None) -> Input:
        """The image file of a row; relative paths start in the table's folder."""
        if not path:
            return Broken(self.name(row), "the path is empty")
        return ImageFile(path, os.path.join(os.path.dirname(self.word), path))


class CsvFile(TableSource):
    """A CSV file with a column of paths; see ``read_csv``.

    Raises:
        RequestError: it cannot be read, or has no such column.
    """

    def __init__(self, word: str, column: str | None = None) -> None:
        super().__init__(word)
        header = next(self._rows(), CsvRow(1, []))
        if header.problem:
            raise RequestError(f"{word}, line {header.line}: {header.problem}")
        self._column = choose_column(header.fields, column, f"{word}, line {header.line},")

    def __iter__(self) -> Iterator[Input]:
        for line, fields, problem in islice(self._rows(), 1, None):
            if problem:
                yield Broken(self.name(line), problem)
            else:
                yield self.listed(line, fields[self._column])

    def count(self) -> int:
        return sum(1 for _ in self)

    def _rows(self) -> Iterator[CsvRow]:
        return read_csv(self.word, any_bytes=True)  # a file's name may be no UTF-8


def choose_column(columns: Sequence[str], wanted: str | None, place: str) -> int:
    """Index of the column of images in a file; case does not matter.

    Raises:
        RequestError: ``wanted``, by default one of ``COLUMNS``, is missing or there twice.
    """
    found = [column.strip().lower() for column in columns]
    names = COLUMNS if wanted is None else (wanted.strip().lower(),)
    name = next((name for name in names if name in found), None)
    if name is None:
        there = ", ".join(columns[:20]) or "nothing"
        expected = f"{', '.join(COLUMNS[:-1])} or file" if wanted is None else repr(wanted)
        raise RequestError(f"{place} has no column {expected}, but {there}; name one with --column")
    if found.count(name) > 1:
        raise RequestError(f"{place} has the column {name!r} twice; keep one")
    return found.index(name)
