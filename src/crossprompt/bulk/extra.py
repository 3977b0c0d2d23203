"""Packages of the extra ``bulk``, imported where they are needed."""

from typing import Any

from crossprompt.extras import require_extra


def import_parquet(path: object) -> Any:
    """``pyarrow.parquet``.

    Args:
        path: what it is needed for.

    Raises:
        RequestError: it is not installed.
    """
    require_extra("bulk", ["pyarrow"], str(path))
    from pyarrow import parquet

    return parquet


def expand_braces(word: str) -> list[str]:
    """``a-{0..2}.tar`` as ``a-0.tar``, ``a-1.tar`` and ``a-2.tar``.

    Raises:
        RequestError: braceexpand is not installed.
    """
    require_extra("bulk", ["braceexpand"], word)
    from braceexpand import braceexpand

    try:
        return list(braceexpand(word))
    except ValueError:  # the braces are not in pairs
        return [word]
