"""How far a run has come, in such a way that the same inputs can be recognised."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.data.inputs import Input


@dataclass(frozen=True)
class Mark:
    """The end of some groups of inputs."""

    rows: int = 0
    """Inputs before it."""
    names: str = ""
    """A hash of their names."""
    versions: str = ""
    """A hash of their versions."""

    def after(self, group: Sequence[Input]) -> "Mark":
        """The end of one group more."""
        return Mark(
            self.rows + len(group),
            _chained(self.names, [given.name for given in group]),
            _chained(self.versions, [given.version() for given in group]),
        )


def _chained(before: str, words: Sequence[str]) -> str:
    digest = hashlib.sha256(before.encode())
    for word in words:
        data = word.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
