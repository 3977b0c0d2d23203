"""Numbers that papers give, quoted beside ours and never as ours."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from statistics import mean
from typing import Any, TypeAlias

from crossprompt.bench.report.entries import Entry, Quoted
from crossprompt.bench.report.records import Record
from crossprompt.bench.report.tables import Group, Row

Column: TypeAlias = str | int | tuple[str, ...] | None
"""What a column is called in ``published.json``; several names are the average of those."""


def published(
    protocol: str, records: Sequence[Record], columns: Sequence[Column], averaged: Sequence[str]
) -> tuple[Group, ...]:
    """Groups of rows for a table, none where no data set of ours is one of theirs.

    Args:
        protocol: of the table.
        records: what was measured for it.
        columns: of the table.
        averaged: the data sets that our numbers are of, or the average of.
    """
    known = quotations().get(protocol)
    if known is None or not {record.cell.dataset for record in records} & set(known["datasets"]):
        return ()
    columns_known = known["columns"]
    about = f"The published numbers are {known['what']}."
    notes = (about, *_differences(known, records, averaged))
    groups = []
    for source in known["sources"]:
        rows = [
            Row(
                method,
                tuple(
                    _entry(dict(zip(columns_known, row, strict=True)), column, source["digits"])
                    for column in columns
                ),
            )
            for method, row in source["rows"].items()
        ]
        title = f"{quotations()['label']} ({source['source']})"
        groups.append(Group(tuple(rows), title, notes))
        notes = ()  # once is enough
    return tuple(groups)


@cache
def quotations() -> dict[str, Any]:
    """``published.json``: protocol to numbers with their sources."""
    text = files("crossprompt.bench.report").joinpath("published.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _entry(row: Mapping[Any, float | None], column: Column, digits: int) -> Entry:
    names = column if isinstance(column, tuple) else (column,)
    numbers = [row[name] for name in names if row.get(name) is not None]
    if not names or len(numbers) < len(names):
        return None
    return Quoted(mean(number for number in numbers if number is not None), digits)


def _differences(
    known: Mapping[str, Any], records: Sequence[Record], averaged: Sequence[str]
) -> list[str]:
    """What keeps the published numbers from comparing with ours."""
    notes = []
    others = sorted(
        {
            record.cell.backbone
            for record in records
            if not record.cell.backbone.endswith(tuple(quotations()["backbones"]))
        }
    )
    if others:
        notes.append(
            "The published numbers are of OpenAI's CLIP ViT-B/16: rows that were measured with "
            f"another backbone ({', '.join(others)}) do not compare with them."
        )
    if set(averaged) != set(known["datasets"]):
        notes.append(
            f"Our averages are of {len(averaged)} data sets ({', '.join(averaged) or 'none'}), "
            "which are not those of the published ones."
        )
    return notes
