"""Files that are never seen half written, and folders to write them in."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from crossprompt.errors import RequestError

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


def make_folder(folder: Path) -> None:
    """Make a folder that the user named, and those above it, where they are missing.

    Raises:
        RequestError: it cannot be made, or a file is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        above = next((path for path in (folder, *folder.parents) if path.is_file()), None)
        reason = error.strerror if above is None else f"{above} is a file"
        raise RequestError(
            f"cannot make the folder {folder} ({reason}); choose another place to write to"
        ) from error


def ensure_writable(folder: Path) -> None:
    """Make a folder, and try whether files can be made in it, before any work is done for them.

    Raises:
        RequestError: it cannot be made, or nothing can be written there.
    """
    make_folder(folder)
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(
            f"cannot write in the folder {folder} ({error.strerror}); choose another place to "
            "write to"
        ) from error


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and move it into place: it is never seen half written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        with partial.open("r+b") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
