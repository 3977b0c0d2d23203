"""Where a grid is computed, as options."""

import argparse
from collections.abc import Sequence

import joblib
import torch

from crossprompt.bench.engines import RETRIES, Engine, Local, Ray
from crossprompt.cli.args import LOCAL, RAY, add_engine, check_local, not_negative, positive
from crossprompt.errors import RequestError
from crossprompt.utils.device import DTYPES, choose_device, choose_dtype

SMALL = "tiny"
"""The backbone that is too small to keep several cores busy."""
OF_RAY = ("ray_address", "gpus", "memory")
"""Options that mean nothing to another engine."""


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the grid is computed, and how much at a time."""
    engine = parser.add_argument_group("engine")
    add_engine(engine, "this machine", "a Ray cluster")
    engine.add_argument(
        "--workers",
        type=positive,
        metavar="INT",
        help="trainings at a time on this machine (default: one a core for tiny, else 1)",
    )
    engine.add_argument(
        "--threads",
        type=positive,
        metavar="INT",
        help="of the CPU for each; another number may change the last bits of results (default: 1 "
        "for tiny, else one a core)",
    )
    engine.add_argument(
        "--gpus",
        type=not_negative,
        metavar="FLOAT",
        help="that each training asks Ray for (default: 0)",
    )
    engine.add_argument(
        "--memory", type=not_negative, metavar="GB", help="that each training asks Ray for"
    )
    engine.add_argument(
        "--retries",
        type=int,
        metavar="INT",
        help="times a training starts again when its worker process is lost (default: 3)",
    )


def choose_engine(options: argparse.Namespace, backbones: Sequence[str]) -> tuple[Engine, int]:
    """The engine, and the threads of each training.

    Args:
        options: see ``add_engine_arguments``.
        backbones: of the grid.

    Raises:
        RequestError: an option would be ignored.
    """
    small = list(backbones) == [SMALL]
    cores = joblib.cpu_count()
    threads = options.threads or (1 if small else cores)
    workers = options.workers or (max(1, cores // threads) if small else 1)
    retries = RETRIES if options.retries is None else options.retries
    if retries < 0:
        raise RequestError(f"--retries is {retries}, expected 0 or more")
    check_local(options, OF_RAY)
    if options.engine == LOCAL:
        if workers == 1 and options.retries is not None:
            raise RequestError(
                "--retries would be ignored: one worker on this machine is this process itself; "
                "leave it out, or give more --workers"
            )
        return Local(workers, retries), threads
    if options.ray_address is not None and options.workers is not None:
        raise RequestError(
            "a running cluster decides how many workers there are; leave out --workers or "
            "--ray-address"
        )
    gpus, memory = options.gpus or 0.0, options.memory
    return Ray(options.ray_address, workers, threads, gpus, memory, retries), threads


def choose_where(options: argparse.Namespace) -> tuple[str, str]:
    """Device and dtype of the workers, by name."""
    if options.engine == RAY and options.gpus and options.device in ("auto", "cuda"):
        # this machine need not have what those of the cluster have
        device, best = torch.device("cuda"), "bf16"
    else:
        device, best = choose_device(options.device), "auto"
    dtype = choose_dtype(best if options.dtype == "auto" else options.dtype, device)
    return str(device), next(name for name, value in DTYPES.items() if value == dtype)
