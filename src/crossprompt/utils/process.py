"""Rank and world size of a process, and its signals: exit at once during imports, raise
``KeyboardInterrupt`` afterwards."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Environment variables in which launchers give the number of processes."""
RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
STOPS = (signal.SIGINT, signal.SIGTERM)
DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)


def from_launcher(names: Sequence[str], default: int) -> int:
    """The number in the first of the variables that is set."""
    return next((int(os.environ[name]) for name in names if name in os.environ), default)


def is_main_process() -> bool:
    """True in the process that reports to the user, also before the processes have joined."""
    return from_launcher(RANKS, 0) == 0


def leave_on_interrupt() -> None:
    """Let Ctrl-C and SIGTERM end the process at once, until ``raise_on_interrupt``.

    An exception during the imports of torch and NumPy may be swallowed there, and leave modules
    behind that fail later. An ignored Ctrl-C, as in the background of a shell, stays ignored. With
    several processes SIGTERM keeps its default: a launcher sends it to the others when one of them
    has failed and reported why.
    """
    several = from_launcher(SIZES, 1) > 1
    for number in STOPS[:1] if several else STOPS:
        if signal.getsignal(number) in DEFAULTS:
            signal.signal(number, _leave)


def raise_on_interrupt() -> None:
    """Let Ctrl-C and SIGTERM raise ``KeyboardInterrupt`` from now on."""
    for number in STOPS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, signal.default_int_handler)


def _leave(_: int, __: FrameType | None) -> None:
    print("crossprompt: error: stopped", file=sys.stderr, flush=True)
    os._exit(1)
