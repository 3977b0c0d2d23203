"""SHA-256 of files."""

import hashlib
from pathlib import Path

PIECE = 2**20
"""Bytes that are read at a time."""


def hash_file(path: Path, before: bytes = b"") -> str:
    """SHA-256 of a file in hexadecimal, in the memory of a piece of it.

    Args:
        path: the file.
        before: counts as if the file began with it.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256(before)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
