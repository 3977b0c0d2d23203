"""The finished cells of a results folder, one a line; a cell is never written twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossprompt.bench.cell import key_of
from crossprompt.bench.journal import Journal

LINES = "lines.jsonl"
FORMAT, VERSION = "crossprompt-result", 1


class Lines:
    """The lines of a results folder.

    Args:
        folder: need not exist before the first line is appended.
    """

    def __init__(self, folder: Path) -> None:
        fields = {"cell": dict, "results": list}
        self._journal = Journal(folder / LINES, (FORMAT, VERSION), fields)
        self._known = set[str]()

    def read(self) -> dict[str, dict[str, Any]]:
        """Every finished line, by the key of its cell.

        Raises:
            RequestError: a line is damaged, or of another format or version.
        """
        found = {key_of(line["cell"]): line for line in self._journal.read_again()}
        self._known = set(found)
        return found

    def append(self, line: Mapping[str, Any]) -> bool:
        """Add a line; False if its cell is finished already, be it by another process.

        Args:
            line: without ``format`` and ``version``.
        """
        with self._journal.writing():
            self._known.update(key_of(new["cell"]) for new in self._journal.read_on())
            if key_of(line["cell"]) in self._known:
                return False
            self._journal.append([line])
        return True
