"""Ctrl-C, and SIGTERM, which says the same: while the program starts nothing is under way that
could be lost, and later there is work to leave in order."""

import os
import signal
import sys
from types import FrameType

from crossprompt.launcher import SIZES, from_launcher

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
