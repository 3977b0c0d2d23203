"""Description of the machine, its memory, and the memory that a process took."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from crossprompt.utils.device import has_fast_bf16

GB = 1e9
INSTRUCTIONS = ("avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
"""Processor instructions that decide how fast it multiplies matrices."""


def describe(device: torch.device) -> dict[str, Any]:
    """Processor, memory and versions that a measurement depends on."""
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


def summarize(machine: dict[str, Any]) -> str:
    """Description of the machine in one line."""
    has = ", ".join(machine["instructions"]) or "none of AVX-512 or AMX reported"
    device = "" if machine["device"] == "cpu" else f"{machine['device']}; "
    threads, cores = machine["threads"], machine["cores"]
    return (
        f"{device}{machine['processor']}, {cores} cores ({has}), {machine['memory_gb']} GB; "
        f"{threads} thread{'' if threads == 1 else 's'}, torch {machine['torch']}, "
        f"Python {machine['python']}, {machine['system']}"
    )


def available_memory(device: torch.device) -> float:
    """Bytes that are free on the device."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    available = _field("/proc/meminfo", "MemAvailable").split()
    return float(available[0]) * 1024 if available else _memory()


def peak_memory(device: torch.device) -> float:
    """Peak bytes of this process, libraries and weights included.

    On CUDA, the peak that PyTorch has allocated on the device.
    """
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    # on Linux, ru_maxrss starts at the memory of the parent process
    peak = _field("/proc/self/status", "VmHWM").split()
    if peak:
        return float(peak[0]) * 1024
    import resource  # not on Windows

    most = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else most * 1024


def _field(path: str, name: str) -> str:
    """First value of a field in a file of Linux's ``/proc``; empty elsewhere."""
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
