"""Reads safetensors files: the header first, the values once it has been checked."""

from collections.abc import Mapping
from pathlib import Path

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
"""Name in the format to dtype."""
Headers = Mapping[str, Tensor]
"""By key, a tensor of the file's shape and dtype, on the device ``meta``."""


def read_headers(path: Path) -> dict[str, Tensor]:
    """Shapes and dtypes of the tensors in a file, as tensors without values.

    ``safe_open`` refuses a file whose size does not match its shapes.

    Raises:
        RequestError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 not a mapping
            return {
                key: torch.empty(x.get_shape(), dtype=DTYPES[x.get_dtype()], device="meta")
                for key, x in slices.items()
            }
    except (SafetensorError, OSError, RuntimeError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU; ``RequestError`` if it is damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RequestError:
    reason = f"{type(error).__name__} {error}"
    return RequestError(f"{path} cannot be read: {reason:.200}; copy it again or train anew")
