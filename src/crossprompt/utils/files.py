"""Files: JSON and safetensors checked as they are read, hashes, atomic writes, output folders."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

import msgspec

from crossprompt.errors import RequestError
from crossprompt.utils.text import one_line

T = TypeVar("T")


def decode_json(data: bytes | str, kind: type[T], source: str, advice: str) -> T:
    """Decode JSON and check it against a type: a dataclass, a ``msgspec.Struct``, ``list[int]``, …

    Values are not converted. ``source`` names the text in an error, ``advice`` is the way out.

    Raises:
        RequestError: it is no JSON, or of another type.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RequestError(f"{source} is damaged ({one_line(error):.200}); {advice}") from error


def read_json(path: Path, kind: type[T], advice: str, largest: int = 2**24) -> T:
    """``decode_json`` of a file of at most ``largest`` bytes.

    Raises:
        RequestError: it cannot be read, is too large, is no JSON, or of another type.
    """
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise RequestError(f"cannot read {path} ({error.strerror}); {advice}") from error
    if len(data) > largest:
        raise RequestError(f"{path} has more than {largest} bytes; {advice}")
    return decode_json(data, kind, str(path), advice)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without spaces around them; empty ones are left out.

    Raises:
        RequestError: it cannot be read, is not UTF-8, or has no lines.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read {path} as UTF-8 text: {error}") from error
    if lines := [line.strip() for line in text.splitlines() if line.strip()]:
        return lines
    raise RequestError(f"{path} is empty")


def hash_file(path: Path, prefix: bytes = b"") -> str:
    """SHA-256 of ``prefix`` and a file in hexadecimal; ``OSError`` if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha256(prefix)).hexdigest()


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
