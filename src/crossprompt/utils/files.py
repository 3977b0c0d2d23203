"""File hashes, atomic writes, and output folders checked before any work is done."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from crossprompt.errors import RequestError

PIECE = 2**20
"""Bytes per read."""


def hash_file(path: Path, prefix: bytes = b"") -> str:
    """SHA-256 of a file in hexadecimal, read in pieces.

    Args:
        path: the file.
        prefix: bytes that are hashed before it.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256(prefix)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; ``RequestError`` if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        file = next((path for path in (folder, *folder.parents) if path.is_file()), None)
        reason = f"{file} is a file" if file else error.strerror
        raise RequestError(
            f"cannot make the folder {folder} ({reason}); choose another folder"
        ) from error


def ensure_writable(folder: Path) -> None:
    """Make a folder and test that files can be made in it; ``RequestError`` otherwise."""
    make_folder(folder)
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(
            f"cannot write in the folder {folder} ({error.strerror}); choose another folder"
        ) from error


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and move it into place, so that it is never half written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        with partial.open("r+b") as file:  # Windows flushes only files that are open for writing
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
