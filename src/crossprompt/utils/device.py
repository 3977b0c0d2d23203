"""Device and dtype selection, and the way of a batch to its device."""

import torch

from crossprompt.errors import RequestError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Name to dtype, besides ``auto``."""


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The named device, or the best available: CUDA, then MPS, then the CPU.

    Raises:
        RequestError: the device is unknown or not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind, found in available.items() if found), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RequestError(f"unknown device {name!r}; expected auto, cpu, cuda or mps") from error
    if not available.get(device.type, True):
        raise RequestError(
            f"torch finds no {device.type} device here; try --device cpu (device='cpu')"
        )
    return device


def choose_dtype(name: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The named dtype; ``auto`` is bf16 where the hardware multiplies in it, fp32 elsewhere.

    Raises:
        RequestError: the name is unknown.
    """
    if isinstance(name, torch.dtype):
        return name
    if name == "auto":
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    if name not in DTYPES:
        raise RequestError(f"unknown dtype {name!r}; expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def to_device(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a batch; to a GPU from pinned memory, which it copies while the next is being read."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def has_fast_bf16(device: torch.device) -> bool:
    """True if the hardware multiplies bf16 matrices itself; an emulation is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # torch has no public function for this; a release without these names computes in fp32
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)
