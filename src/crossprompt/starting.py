"""Ctrl-C while the program starts: nothing is under way that could be lost."""

import os
import signal
import sys
from types import FrameType


def leave_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, until ``raise_on_interrupt``.

    An exception in the middle of torch's and NumPy's imports may be swallowed there, and leave
    modules behind that fail much later. Where Ctrl-C is ignored, as in the background of a shell,
    it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise ``KeyboardInterrupt`` again: from now on there is work to leave in order."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_: int, __: FrameType | None) -> None:
    print("crossprompt: error: stopped", file=sys.stderr, flush=True)
    os._exit(1)
