"""Cells that were asked for and have no result: not run yet, failed, or not applicable."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossprompt.bench.cell_status import ASKED, FAILED, NOT_APPLICABLE, Outcomes
from crossprompt.bench.report.fields import Fields
from crossprompt.bench.report.records import Cell, parse_cell

WORDS = {FAILED: "failed", ASKED: "missing", NOT_APPLICABLE: "not applicable"}
"""What the report calls them; where several would stand in one place, the first does."""


@dataclass(frozen=True)
class Unfinished:
    """A cell without a line."""

    cell: Cell
    """What was asked for."""
    state: str
    """One of the values of ``WORDS``."""
    reason: str
    """In a line; empty where it was not run yet."""


def read_unfinished(folder: Path, finished: Collection[str]) -> tuple[Unfinished, ...]:
    """Read what a results folder says of cells without a line.

    Args:
        folder: of the results.
        finished: keys of the cells with a line.

    Raises:
        RequestError: an entry is malformed.
    """
    outcomes = Outcomes(folder)
    entries = [Fields(entry, f"{outcomes.path}: an entry") for entry in outcomes.read().values()]
    found = [
        Unfinished(
            parse_cell(entry.inner("cell")),
            WORDS[entry.one_of("state", tuple(WORDS))],
            entry.take("reason", str),
        )
        for entry in entries
    ]
    return tuple(one for one in found if one.cell.key not in finished)


def state_of(cells: Iterable[Unfinished]) -> str | None:
    """What became of cells that belong in one place of a table; None if there are none."""
    states = {one.state for one in cells}
    return next((word for word in WORDS.values() if word in states), None)


def limited(
    cells: Sequence[Unfinished], protocol: str, dataset: str | None = None
) -> tuple[Unfinished, ...]:
    """Those of one protocol, and of one data set if wanted."""
    return tuple(
        one
        for one in cells
        if one.cell.protocol == protocol and dataset in (None, one.cell.dataset)
    )
