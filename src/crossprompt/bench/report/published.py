"""Numbers that papers give, quoted beside ours and never as ours."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from statistics import mean
from typing import Any, TypeAlias

import msgspec
import pandas as pd

from crossprompt.bench.report.entries import Quoted
from crossprompt.bench.report.tables import Group, body_of

Column: TypeAlias = str | int | tuple[str, ...]
"""Name of a column in ``published.json``; several names are the average of those."""


def published(
    protocol: str, scores: pd.DataFrame, columns: Sequence[Column], averaged: Sequence[str]
) -> tuple[Group, ...]:
    """Groups of rows for a table, none where no data set of ``scores`` is one of theirs.

    ``averaged`` are the data sets that our numbers are of, or the average of.
    """
    known = quotations().get(protocol)
    if known is None or not set(scores.dataset) & set(known["datasets"]):
        return ()
    groups = []
    notes = (f"The published numbers are {known['what']}.", *_notes(known, scores, averaged))
    for source in known["sources"]:
        theirs = pd.DataFrame.from_dict(source["rows"], orient="index", columns=known["columns"])
        theirs = theirs.astype(float)
        entries = {
            (method, column): Quoted(mean(row[list(names)]), source["digits"])
            for method, row in theirs.iterrows()
            for column in columns
            for names in [column if isinstance(column, tuple) else (column,)]
            if names and set(names) <= set(row.dropna().index)
        }
        title = f"{quotations()['label']} ({source['source']})"
        groups.append(Group(body_of("", theirs.index, columns, entries), title, notes))
        notes = ()  # once is enough
    return tuple(groups)


@cache
def quotations() -> dict[str, Any]:
    """Contents of ``published.json``: protocol to numbers with their sources."""
    found = files("crossprompt.bench.report").joinpath("published.json").read_bytes()
    return msgspec.json.decode(found, type=dict[str, Any])


def _notes(known: Mapping[str, Any], scores: pd.DataFrame, averaged: Sequence[str]) -> list[str]:
    """Reasons why the published numbers do not compare with ours."""
    notes = []
    same = tuple(quotations()["backbones"])
    if others := sorted(name for name in set(scores.backbone) if not name.endswith(same)):
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
