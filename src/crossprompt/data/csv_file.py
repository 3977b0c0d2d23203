"""A data set from a CSV file with the columns ``path``, ``label`` and, if wanted, ``split``."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from crossprompt.data.class_names import ClassNames, composed, listed
from crossprompt.data.dataset import Dataset
from crossprompt.data.few_shot import Share
from crossprompt.data.labelled import (
    SPLIT_NAMES,
    LabelledFile,
    assemble,
    check_division,
    divide,
)
from crossprompt.errors import RequestError

COLUMNS = ("path", "label", "split")

_LISTED = 20

Line = tuple[int, list[str]]
"""A line's number and fields."""


def load_csv(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    class_names: ClassNames = None,
    seed: int = 1,
    val: Share | None = None,
    test: Share | None = None,
) -> Dataset:
    """Load a data set from a CSV file: UTF-8, commas, first line ``path,label[,split]``.

    Splits are ``train``, ``val`` (or ``valid``, ``validation``) and ``test``; without that column
    each class is divided by a seeded draw as ``load_folder`` does. Other columns are ignored, the
    order of the lines is kept. Class names are the labels with ``_`` as a space; labels are
    numbered in the order of their names (by code point).

    Args:
        path: the CSV file.
        root: the folder that image paths are relative to; by default that of the CSV file.
        class_names: other names than the labels, as a file, a list or a mapping; see
            ``name_classes``.
        seed: of the draw.
        val: share of each class for ``val`` where the file has no splits, 0.1 by default.
        test: share of each class for ``test``, 0.3 by default; with 1 all images are test images,
            with 0 none.

    Raises:
        RequestError: the file or a line of it is not as described; up to 20 lines are listed with
            their numbers.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    if not root.is_dir():
        raise RequestError(
            f"{root} is not a folder; expected the one that the paths in {path} are relative to"
        )
    (_, header), *lines = _read(path)
    columns = _columns(path, header)
    files = _labelled_files(path, root, columns, lines)
    if "split" in columns:
        notes = check_division(files, path, val, test)
    else:
        files, notes = divide(files, root, seed, val, test)
    labels = sorted({file.label for file in files})
    return assemble(path.stem, path, root, files, labels, class_names, notes)


def _read(path: Path) -> list[Line]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise RequestError(f"{path}, line {number}: not UTF-8; save it as 'CSV UTF-8'") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, [field.strip() for field in fields]) for fields in reader]
    except csv.Error as error:
        raise RequestError(f"{path}, line {reader.line_num}: {error}") from error
    return [line for line in lines if any(line[1])] or [(1, [])]


def _columns(path: Path, header: list[str]) -> list[str]:
    columns = [column.lower() for column in header]
    if missing := [column for column in ("path", "label") if column not in columns]:
        raise RequestError(
            f"{path}, line 1: no column {' and '.join(missing)} in {listed(header) or 'it'}; "
            "expected path,label or path,label,split, separated by commas"
        )
    if twice := [column for column in COLUMNS if columns.count(column) > 1]:
        raise RequestError(f"{path}, line 1: the column {twice[0]} is there twice; keep one")
    return columns


def _labelled_files(
    path: Path, root: Path, columns: Sequence[str], lines: Sequence[Line]
) -> list[LabelledFile]:
    files, problems = [], []
    first_line: dict[Path, int] = {}
    for number, fields in lines:
        if len(fields) != len(columns):
            problems.append(f"line {number}: {len(fields)} fields, expected {len(columns)}")
            continue
        row = dict(zip(columns, fields, strict=True))
        image = root / row["path"]
        if problem := _problem(row, image, number, first_line):
            problems.append(f"line {number}: {problem}")
        else:
            split = SPLIT_NAMES[row["split"].lower()] if "split" in row else ""
            files.append(LabelledFile(image, composed(row["label"]), split))
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] * (len(problems) > _LISTED)
        text = "\n".join(f"  {problem}" for problem in [*problems[:_LISTED], *more])
        raise RequestError(f"{len(problems)} lines of {path} are wrong; correct them:\n{text}")
    return files


def _problem(row: dict[str, str], image: Path, number: int, first_line: dict[Path, int]) -> str:
    if not row["path"]:
        return "the path is empty"
    if not row["label"]:
        return "the label is empty"
    if "split" in row and row["split"].lower() not in SPLIT_NAMES:
        return f"the split is {row['split']!r}, expected train, val or test"
    if not image.is_file():
        return f"no file {image}"
    if (first := first_line.setdefault(image, number)) != number:
        return f"{row['path']!r} stands in line {first} already"
    return ""
