"""The file ``outcomes.jsonl``: the status of grid cells without a result.

The last entry of a cell counts, and none does once the cell has a line.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypedDict

from crossprompt.bench.grid import Cell
from crossprompt.bench.results import CellFile

OUTCOMES = "outcomes.jsonl"
FORMAT, VERSION = "crossprompt-outcome", 1
ASKED, FAILED, NOT_APPLICABLE = "asked", "failed", "not applicable"
"""A cell is pending, has raised an error, or its method cannot do what the protocol requires."""
STATES = (ASKED, FAILED, NOT_APPLICABLE)


class Entry(TypedDict):
    """The keys of an entry."""

    format: Literal["crossprompt-outcome"]
    version: Literal[1]
    cell: dict[str, Any]
    state: str
    reason: str


class Outcomes(CellFile):
    """The entries of a results folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / OUTCOMES, Entry, {"format": FORMAT, "version": VERSION})

    def ask(self, cells: Iterable[Cell]) -> None:
        """Add cells that are to be computed; an earlier entry of a cell stays."""
        entries = [{"cell": cell.to_json(), "state": ASKED, "reason": ""} for cell in cells]
        self.add(entries, lambda known, _: known is None)

    def note(self, cells: Iterable[Cell], state: str, reason: str) -> None:
        """Add the status of cells without a line, unless their last entry says the same.

        Args:
            cells: without a line.
            state: one of ``STATES``.
            reason: in one line.
        """
        entries = [{"cell": cell.to_json(), "state": state, "reason": reason} for cell in cells]
        self.add(entries, lambda known, new: known is None or not new.items() <= known.items())
