"""Images that a CSV file lists."""

import csv
import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossprompt.data.files import is_visible, sort_key
from crossprompt.data.image_refs import Broken, ImageFile, Input, version_of_file
from crossprompt.data.images import EXTENSIONS
from crossprompt.errors import RequestError
from crossprompt.utils.optional import require_extra


def import_parquet(path: object) -> Any:
    """``pyarrow.parquet``.

    Args:
        path: what it is needed for.

    Raises:
        RequestError: it is not installed.
    """
    require_extra("bulk", ["pyarrow"], str(path))
    from pyarrow import parquet

    return parquet


def expand_braces(word: str) -> list[str]:
    """``a-{0..2}.tar`` as ``a-0.tar``, ``a-1.tar`` and ``a-2.tar``.

    Raises:
        RequestError: braceexpand is not installed.
    """
    require_extra("bulk", ["braceexpand"], word)
    from braceexpand import braceexpand

    try:
        return list(braceexpand(word))
    except ValueError:  # the braces are not in pairs
        return [word]


COLUMNS = ("path", "image", "filepath", "file")
"""Names of a column of images, the first that is there."""


class Source(ABC):
    """Images in a fixed order.

    Args:
        word: as the user typed it.
    """

    def __init__(self, word: str) -> None:
        self.word = word

    @abstractmethod
    def inputs(self) -> Iterator[Input]:
        """Every image, or what is wrong in its place; never all of them in memory."""

    def count(self) -> int | None:
        """How many there are, where that is known without much reading."""
        return None

    def version(self) -> str:
        """What is another when the source has been changed and no input would tell."""
        return ""


class OneFile(Source):
    """An image file."""

    def inputs(self) -> Iterator[Input]:
        """It alone."""
        yield ImageFile(self.word, self.word)

    def count(self) -> int:
        """One."""
        return 1


class Folder(Source):
    """The image files in a folder and in those in it, sorted by their path.

    Names are held of one folder at a time, and of those above it: about 100 bytes a name.

    Args:
        word: the folder.

    Raises:
        RequestError: there are none.
    """

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self._count = sum(1 for _ in self._paths())
        if not self._count:
            raise RequestError(f"the folder {word} holds no image files")

    def inputs(self) -> Iterator[Input]:
        """In the order of ``list_images``."""
        for path in self._paths():
            yield ImageFile(path, path)

    def count(self) -> int:
        """As found when it was opened."""
        return self._count

    def _paths(self) -> Iterator[str]:
        for path in _walk(str(Path(self.word)), (os.path.realpath(self.word),)):
            if os.path.splitext(path)[1].lower() in EXTENSIONS:
                yield path


def _walk(folder: str, ancestors: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        # a folder is sorted as its files' paths are: "a.png" comes before "a/b.png"
        names = [
            f"{entry.name}/" if entry.is_dir() else entry.name
            for entry in entries
            if is_visible(entry.name)
        ]
    for name in sorted(names, key=sort_key):
        path = os.path.join(folder, name.rstrip("/"))
        if not name.endswith("/"):
            yield path
        elif (real := os.path.realpath(path)) not in ancestors:  # else it has no end
            yield from _walk(path, (*ancestors, real))


class Lines(Source):
    """Paths on standard input, one a line.

    Args:
        word: a hyphen.
        begin: called before the first line is awaited.
    """

    def __init__(self, word: str, begin: Callable[[], None]) -> None:
        super().__init__(word)
        self._begin = begin

    def inputs(self) -> Iterator[Input]:
        """Every line that is not blank.

        Raises:
            RequestError: there is none.
        """
        self._begin()
        if isinstance(sys.stdin, io.TextIOWrapper):  # not where a test or a notebook stands in
            sys.stdin.reconfigure(errors="surrogateescape")  # a file's name may be no UTF-8
        found = False
        for line in sys.stdin:
            if line.strip():
                found = True
                path = line.rstrip("\r\n")
                yield ImageFile(path, path)
        if not found:
            raise RequestError("standard input is empty; give one path a line, or name the images")


class Table(Source):
    """A file that lists or holds many images."""

    @property
    def path(self) -> Path:
        """Of the file."""
        return Path(self.word)

    def version(self) -> str:
        """That of the file."""
        return version_of_file(self.word)

    def place(self, path: str) -> str:
        """Where a path in the file leads: relative ones begin in the file's folder."""
        return beside(self.word, path)

    def at(self, row: object) -> str:
        """What an image without a path of its own is called."""
        return f"{self.word}#{row}"


def beside(table: str, path: str) -> str:
    """Where a path leads that begins in a table's folder, or anywhere if it is absolute."""
    return os.path.join(Path(table).parent, path)


def choose_column(columns: list[str], wanted: str | None, place: str) -> int:
    """The position of the column of images.

    Args:
        columns: their names.
        wanted: by the user; one of ``COLUMNS`` by default.
        place: of the columns, for errors.

    Raises:
        RequestError: it is not there, or there twice.
    """
    found = [column.strip().lower() for column in columns]
    names = COLUMNS if wanted is None else (wanted.strip().lower(),)
    name = next((name for name in names if name in found), None)
    listed = ", ".join(columns[:20]) or "nothing"
    if name is None:
        expected = f"column {wanted!r}" if wanted else f"column {', '.join(COLUMNS[:-1])} or file"
        raise RequestError(f"{place} has no {expected}, but {listed}; name one with --column")
    if found.count(name) > 1:
        raise RequestError(f"{place} has the column {name!r} twice; keep one")
    return found.index(name)


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
