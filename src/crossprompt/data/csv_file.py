"""A data set from a CSV file with the columns ``path``, ``label`` and, if wanted, ``split``."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from crossprompt.data.class_names import ClassNames, composed
from crossprompt.data.dataset import Dataset
from crossprompt.data.few_shot import SplitSize
from crossprompt.data.folder import SPLIT_NAMES, LabeledFile, assemble
from crossprompt.errors import RequestError
from crossprompt.utils.text import indented, listed

COLUMNS = ("path", "label", "split")


class CsvRow(NamedTuple):
    """A row of a CSV file: its last line's number, and its values without spaces around them."""

    line: int
    fields: list[str]
    problem: str = ""
    """The reason why it is no row of this file."""


def read_csv(path: str | os.PathLike[str], any_bytes: bool = False) -> Iterator[CsvRow]:
    """The rows of a CSV file (UTF-8, commas), the column names first; blank lines are left out.

    Rows are read as they are needed. One that is no CSV, or that has not as many fields as the
    first, comes with its ``problem`` instead of an error. ``any_bytes`` also takes bytes that are
    not UTF-8 (as surrogate escapes), as a path may hold them.

    Raises:
        RequestError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _read_rows(file, any_bytes)
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error


def _read_rows(file: TextIO, any_bytes: bool) -> Iterator[CsvRow]:
    reader = csv.reader(file, strict=True)
    width = 0
    while True:
        try:
            fields = [field.strip() for field in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            yield CsvRow(reader.line_num, [], f"no line of a CSV file: {error}")
            continue
        if not any(fields):
            continue
        width, problem = width or len(fields), ""
        if len(fields) != width:
            problem = f"{len(fields)} fields, expected {width} as in line 1"
        elif not any_bytes and any("\udc80" <= x <= "\udcff" for x in "".join(fields)):
            problem = "not UTF-8; save the file as 'CSV UTF-8'"
        yield CsvRow(reader.line_num, fields, problem)


def load_csv(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    class_names: ClassNames = None,
    seed: int = 1,
    val: SplitSize | None = None,
    test: SplitSize | None = None,
) -> Dataset:
    """Load a data set from a CSV file: UTF-8, commas, first line ``path,label[,split]``.

    Splits are ``train``, ``val`` (or ``valid``, ``validation``) and ``test``; without that column
    each class is divided by a seeded draw as ``load_folder`` does. Other columns are ignored, the
    order of the lines is kept. Class names are the labels with ``_`` as a space; labels are
    numbered in the order of their names (by code point).

    Args:
        path: the CSV file.
        root: the folder that image paths are relative to; by default that of the CSV file.
        class_names: other names than the labels, see ``name_classes``.
        seed: of the draw where the file has no splits.
        val: share of each class for ``val`` then, 0.1 by default.
        test: share of each class for ``test`` then, 0.3 by default.

    Raises:
        RequestError: the file or a line of it is not as described; up to 20 lines are listed with
            their numbers.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    if not root.is_dir():
        raise RequestError(f"{root} is not a folder; expected that of the paths in {path}")
    rows = read_csv(path)
    columns = _columns(path, next(rows, CsvRow(1, [])))
    files, problems = [], []
    first_line: dict[Path, int] = {}
    for number, fields, problem in rows:
        row = dict(zip(columns, fields, strict=False))
        image = root / row.get("path", "")
        if problem := problem or _problem(row, image, number, first_line):
            problems.append(f"line {number}: {problem}")
        else:
            split = SPLIT_NAMES[row["split"].lower()] if "split" in row else ""
            files.append(LabeledFile(image, composed(row["label"]), split))
    if problems:
        raise RequestError(
            f"{len(problems)} lines of {path} are wrong; correct them:\n{indented(problems)}"
        )
    return assemble(path.stem, path, root, files, class_names, seed, val, test)


def _columns(path: Path, header: CsvRow) -> list[str]:
    if header.problem:
        raise RequestError(f"{path}, line {header.line}: {header.problem}")
    columns = [column.lower() for column in header.fields]
    if missing := [column for column in COLUMNS[:2] if column not in columns]:
        raise RequestError(
            f"{path}, line 1: no column {' and '.join(missing)} in {listed(columns) or 'it'}; "
            "expected path,label or path,label,split, separated by commas"
        )
    if twice := [column for column in COLUMNS if columns.count(column) > 1]:
        raise RequestError(f"{path}, line 1: the column {twice[0]} is there twice; keep one")
    return columns


def _problem(row: dict[str, str], image: Path, number: int, first_line: dict[Path, int]) -> str:
    if not row["path"] or not row["label"]:
        return f"the {'label' if row['path'] else 'path'} is empty"
    if "split" in row and row["split"].lower() not in SPLIT_NAMES:
        return f"the split is {row['split']!r}, expected train, val or test"
    if not image.is_file():
        return f"no file {image}"
    if (first := first_line.setdefault(image, number)) != number:
        return f"{row['path']!r} stands in line {first} already"
    return ""
