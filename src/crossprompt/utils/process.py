"""Ctrl-C, and SIGTERM, which says the same: while the program starts nothing is under way that
could be lost, and later there is work to leave in order."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Environment variables that say how many processes a launcher has started."""
RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
"""Those that say which of them this one is."""


def from_launcher(names: Sequence[str], default: int) -> int:
    """The number in the first of the variables that is set."""
    return next((int(os.environ[name]) for name in names if name in os.environ), default)


def speaks() -> bool:
    """Whether this process is the one that talks to the user, also before it has joined."""
    return from_launcher(RANKS, 0) == 0


STOPS = (signal.SIGINT, signal.SIGTERM)
"""What asks a program to stop: a person at its terminal; systemd, docker, kill."""
UNTOUCHED = (signal.default_int_handler, signal.SIG_DFL)
"""Of a signal that nobody has taken, or has had ignored."""


def leave_on_interrupt() -> None:
    """Let Ctrl-C and SIGTERM end the process at once, until ``raise_on_interrupt``.

    An exception in the middle of torch's and NumPy's imports may be swallowed there, and leave
    modules behind that fail much later. Where Ctrl-C is ignored, as in the background of a shell,
    it stays so. Of several processes that a launcher has started SIGTERM ends the others when one
    has failed: they may be waiting for it, and are to go without a word.
    """
    together = from_launcher(SIZES, 1) > 1
    for number in STOPS[:1] if together else STOPS:
        if signal.getsignal(number) in UNTOUCHED:
            signal.signal(number, _leave)


def raise_on_interrupt() -> None:
    """Let them raise ``KeyboardInterrupt`` from now on."""
    for number in STOPS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, signal.default_int_handler)


def _leave(_: int, __: FrameType | None) -> None:
    print("crossprompt: error: stopped", file=sys.stderr, flush=True)
    os._exit(1)
