"""A safetensors file: what it says it holds, and the numbers when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from crossprompt.errors import RequestError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""What the format calls the usual ones."""
MOST = 2**48
"""Numbers in a tensor, also where one of its axes is empty."""


@runtime_checkable
class Shaped(Protocol):
    """A tensor, or what is said of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""

    @property
    def dtype(self) -> torch.dtype:
        """Of its numbers."""

    @property
    def ndim(self) -> int:
        """How many axes it has."""


Headers = Mapping[str, Shaped]
"""What is said of tensors, by their keys."""


@dataclass(frozen=True)
class Header:
    """What a file says of one of its tensors, for which no memory is taken."""

    shape: tuple[int, ...]
    """Lengths of its axes."""
    dtype: torch.dtype
    """Of its numbers."""

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)


def read_headers(path: Path) -> dict[str, Shaped]:
    """What a file says of its tensors; only its beginning is read.

    The format's library refuses a file whose size is not what its shapes ask for.

    Raises:
        RequestError: the file is missing, damaged, or holds what no classifier has.
    """
    if not path.is_file():
        raise _unreadable(path, "a folder" if path.is_dir() else "no such file")
    try:
        with safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 not a mapping
            found = {key: (own.get_shape(), own.get_dtype()) for key, own in slices.items()}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, str(error)) from error
    for key, (shape, dtype) in found.items():
        if dtype not in DTYPES or prod(max(1, axis) for axis in shape) > MOST:
            raise _unreadable(path, f"{key!r:.60} is {dtype} of shape {shape!s:.60}")
    return {key: Header(tuple(shape), DTYPES[dtype]) for key, (shape, dtype) in found.items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU; ``RequestError`` if it is damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, reason: str) -> RequestError:
    return RequestError(f"{path} cannot be read: {reason:.200}; copy it again or train anew")
