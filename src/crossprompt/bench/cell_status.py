"""The file ``outcomes.jsonl``: the status of grid cells without a result.

The last entry of a cell counts, and none does once the cell has a line.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypedDict

from crossprompt.bench.grid import Cell, key_of
from crossprompt.bench.results import JsonLines

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


class Outcomes:
    """The entries of a results folder.

    Args:
        folder: need not exist before the first entry is added.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / OUTCOMES
        self._file = JsonLines(self.path, Entry)
        self._known: dict[str, dict[str, Any]] = {}

    def read(self) -> dict[str, dict[str, Any]]:
        """The last entry of every cell, by the cell's key.

        Raises:
            RequestError: an entry is damaged, or of another format or version.
        """
        self._known = {key_of(entry["cell"]): entry for entry in self._file.read_again()}
        return dict(self._known)

    def ask(self, cells: Iterable[Cell]) -> None:
        """Add cells that are to be computed; an earlier entry of a cell stays."""
        self.note(cells, ASKED, "")

    def note(self, cells: Iterable[Cell], state: str, reason: str) -> None:
        """Add the status of cells without a line, unless it is their last entry already.

        Args:
            cells: without a line.
            state: one of ``STATES``.
            reason: in one line.
        """
        about = {"state": state, "reason": reason}
        with self._file.writing():
            self._known |= {key_of(entry["cell"]): entry for entry in self._file.read_on()}
            self._file.append(
                {"format": FORMAT, "version": VERSION, "cell": cell.to_json(), **about}
                for cell in cells
                if not self._says(cell, state, reason)
            )

    def _says(self, cell: Cell, state: str, reason: str) -> bool:
        known = self._known.get(cell.key)
        if known is None:
            return False
        return state == ASKED or (known["state"], known["reason"]) == (state, reason)
