"""Packages of the extra ``bulk``, imported where they are needed."""

from typing import Any

from crossprompt.errors import RequestError

INSTALL = "pip install 'crossprompt[bulk]'"


def import_parquet(path: object) -> Any:
    """``pyarrow.parquet``.

    Args:
        path: what it is needed for.

    Raises:
        RequestError: it is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise RequestError(f"{path} needs pyarrow, which is missing; {INSTALL}") from error
    return parquet


def expand_braces(word: str) -> list[str]:
    """``a-{0..2}.tar`` as ``a-0.tar``, ``a-1.tar`` and ``a-2.tar``.

    Raises:
        RequestError: braceexpand is not installed.
    """
    try:
        from braceexpand import braceexpand
    except ImportError as error:
        raise RequestError(f"{word} needs braceexpand, which is missing; {INSTALL}") from error
    try:
        return list(braceexpand(word))
    except ValueError:  # the braces are not in pairs
        return [word]
