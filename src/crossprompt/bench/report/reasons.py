"""The list of cells without a result, with the reasons."""

from collections.abc import Sequence

from crossprompt.bench.report.records import Cell, canonical, shots_in_words
from crossprompt.bench.report.sections import Card, Section
from crossprompt.bench.report.series import Series
from crossprompt.bench.report.tables import Group, Row, Table
from crossprompt.bench.report.unfinished import WORDS, Unfinished

NAME, TITLE = "unfinished", "Cells without a result"
TEXT = (
    "What was asked for and has no number. Failed: its computation ended with an error; the same "
    "command tries it again. Not applicable: the method or the data cannot do what the protocol "
    "asks, which is no failure. Missing: it was not run yet, or was interrupted."
)


def reasons(series: Sequence[Series]) -> Section | None:
    """The section, if a cell has no result.

    Args:
        series: all of them, with all their cells.
    """
    rows = [row for state in WORDS.values() for one in series for row in _rows(one, state)]
    if not rows:
        return None
    seeds = sorted({cell.cell.seed for one in series for cell in one.unfinished})
    table = Table(
        name=NAME,
        caption=TITLE,
        corner="method",
        columns=("protocol", "trained on", "cells", "what became of them", "why"),
        groups=(Group(tuple(rows)),),
        seeds=tuple(seeds),
        best=False,
        every_seed=False,
        words=True,
    )
    return Section(NAME, TITLE, TEXT, (Card("", (table,), wide=True),))


def _rows(series: Series, state: str) -> list[Row]:
    """Cells that differ only in shots, seed and targets stand together."""
    groups: dict[str, list[Unfinished]] = {}
    for one in series.unfinished:
        if one.state == state:
            key = canonical([one.cell.protocol, one.cell.dataset, one.reason])
            groups.setdefault(key, []).append(one)
    return [
        Row(
            series.name,
            (
                found[0].cell.protocol,
                found[0].cell.dataset,
                _which([one.cell for one in found]),
                state,
                found[0].reason,
            ),
        )
        for found in groups.values()
    ]


def _which(cells: Sequence[Cell]) -> str:
    shots = sorted({cell.shots for cell in cells})
    seeds = sorted({cell.seed for cell in cells})
    word = "seed" if len(seeds) == 1 else "seeds"
    return f"{len(cells)}: {shots_in_words(*shots)}, {word} {', '.join(map(str, seeds))}"
