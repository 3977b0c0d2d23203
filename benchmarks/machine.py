"""The machine that a number belongs to, and how much memory it has, or a process took of it."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from crossprompt.utils.device import has_fast_bf16

GB = 1e9
INSTRUCTIONS = ("avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
"""Of a processor, those that decide how fast it multiplies matrices."""


def describe(device: torch.device) -> dict[str, Any]:
    """What a reader needs to know about the machine."""
    flags = _field("/proc/cpuinfo", "flags").split()
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "fast_bf16": has_fast_bf16(device),
        "memory_gb": round(_memory() / GB, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def in_words(machine: dict[str, Any]) -> str:
    """``describe``'s answer as a line."""
    has = ", ".join(machine["instructions"]) or "none of AVX-512 or AMX reported"
    device = "" if machine["device"] == "cpu" else f"{machine['device']}; "
    threads, cores = machine["threads"], machine["cores"]
    return (
        f"{device}{machine['processor']}, {cores} cores ({has}), {machine['memory_gb']} GB; "
        f"{threads} thread{'' if threads == 1 else 's'}, torch {machine['torch']}, "
        f"Python {machine['python']}, {machine['system']}"
    )


def available_memory(device: torch.device) -> float:
    """Bytes that a computation on the device may take now."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    available = _field("/proc/meminfo", "MemAvailable").split()
    return float(available[0]) * 1024 if available else _memory()


def peak_memory(device: torch.device) -> float:
    """Most bytes that this process has held at once, libraries and weights included.

    On CUDA, those that PyTorch has allocated on the device.
    """
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    # not ru_maxrss, where there is this: on Linux that begins at what the starting process held
    peak = _field("/proc/self/status", "VmHWM").split()
    if peak:
        return float(peak[0]) * 1024
    import resource  # which Windows lacks

    most = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else most * 1024


def _field(path: str, name: str) -> str:
    """The first value of ``name`` in one of Linux's lists; empty elsewhere."""
    if not Path(path).exists():
        return ""
    for line in Path(path).read_text("utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _memory() -> float:
    if not hasattr(os, "sysconf"):
        return 0.0
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
