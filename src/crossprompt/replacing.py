"""Files that are never seen half written."""

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and move it into place: it is never seen half written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        with partial.open("r+b") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
