"""Answers as a Parquet file, made of finished lines of JSON."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from crossprompt.bulk.extra import import_parquet
from crossprompt.bulk.rows import columns

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
