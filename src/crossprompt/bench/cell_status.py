"""What was asked for in a results folder and has no line there, and why.

The last entry of a cell counts, and none does once the cell has a line.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossprompt.bench.grid import Cell, key_of
from crossprompt.bench.results import Journal

OUTCOMES = "outcomes.jsonl"
FORMAT, VERSION = "crossprompt-outcome", 1
ASKED, FAILED, NOT_APPLICABLE = "asked", "failed", "not applicable"
"""What became of a cell: nothing yet, an error, or nothing that could be computed."""
STATES = (ASKED, FAILED, NOT_APPLICABLE)


class Outcomes:
    """The entries of a results folder.

    Args:
        folder: need not exist before the first entry is added.
    """

    def __init__(self, folder: Path) -> None:
        fields = {"cell": dict, "state": str, "reason": str}
        self.path = folder / OUTCOMES
        self._journal = Journal(self.path, (FORMAT, VERSION), fields)
        self._known: dict[str, dict[str, Any]] = {}

    def read(self) -> dict[str, dict[str, Any]]:
        """The last entry of every cell, by the cell's key.

        Raises:
            RequestError: an entry is damaged, or of another format or version.
        """
        self._known = {}
        self._learn(self._journal.read_again())
        return dict(self._known)

    def ask(self, cells: Iterable[Cell]) -> None:
        """Add cells that are to be computed; what is known of one stays."""
        with self._journal.writing():
            self._learn(self._journal.read_on())
            new = [cell.to_json() for cell in cells if cell.key not in self._known]
            self._add({"cell": cell, "state": ASKED, "reason": ""} for cell in new)

    def note(self, cells: Iterable[Cell], state: str, reason: str) -> None:
        """Say what became of cells, where that is not known already.

        Args:
            cells: without a line.
            state: one of ``STATES``.
            reason: in one line.
        """
        entries = [{"cell": cell.to_json(), "state": state, "reason": reason} for cell in cells]
        with self._journal.writing():
            self._learn(self._journal.read_on())
            self._add(entry for entry in entries if not self._says(entry))

    def _add(self, entries: Iterable[dict[str, Any]]) -> None:
        if new := list(entries):
            self._journal.append(new)

    def _learn(self, entries: Iterable[dict[str, Any]]) -> None:
        self._known.update((key_of(entry["cell"]), entry) for entry in entries)

    def _says(self, entry: dict[str, Any]) -> bool:
        known = self._known.get(key_of(entry["cell"]), {})
        return all(known.get(name) == value for name, value in entry.items())
