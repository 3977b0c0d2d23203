"""Reads JSON and checks it against a type; any error is a ``RequestError`` in one line."""

from pathlib import Path
from typing import TypeVar

import msgspec

from crossprompt.errors import RequestError
from crossprompt.utils.text import one_line

T = TypeVar("T")


def decode_json(data: bytes | str, kind: type[T], source: str, advice: str) -> T:
    """Decode JSON and check it against a type: a dataclass, a ``msgspec.Struct``, ``list[int]``, …

    Args:
        data: the text.
        kind: the expected type; values are not converted.
        source: names the text in an error.
        advice: ends the error with the way out.

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
