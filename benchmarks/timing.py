"""Times several functions in turn, in one run, so that a slow minute affects all of them."""

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Function = Callable[[], object]


def alternate(
    functions: Mapping[str, Function], repeats: int, device: torch.device, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every call, by name.

    Args:
        functions: functions to time, in the order of their calls in every round.
        repeats: rounds that count.
        device: device of the functions; CUDA is timed by its events.
        warm_up: uncounted rounds before those.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(warm_up + repeats):
        for name, function in functions.items():
            taken = measure(function, device)
            if number >= warm_up:
                seconds[name].append(taken)
    return seconds


def measure(function: Function, device: torch.device) -> float:
    """Seconds of one call, after a garbage collection."""
    gc.collect()
    if device.type == "cuda":
        return _measure_cuda(function)
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in seconds.items()}


def _measure_cuda(function: Function) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000
