"""Bounds what all requests together hold: a request that would be too much is told to come later.

Used from the event loop's thread alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from crossprompt.inference.server.errors import BusyError
from crossprompt.inference.server.limits import Limits


class Held:
    """What one request holds, given back when it is answered."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.bytes = self.images = 0

    def add_bytes(self, count: int) -> None:
        """Take room for a part of the body.

        Raises:
            BusyError: all requests together hold as many bytes as they may.
        """
        admission = self._admission
        if admission.bytes + count > admission.limits.max_held:
            raise BusyError("the server holds as many uploads as it may; try again later")
        admission.bytes += count
        self.bytes += count

    def add_images(self, count: int) -> None:
        """Take room in the queue.

        Raises:
            BusyError: there is none.
        """
        admission = self._admission
        if admission.images + count > admission.limits.queue:
            raise BusyError("the queue of images is full; try again later")
        admission.images += count
        self.images += count


class Admission:
    """Counts what is held.

    Args:
        limits: what may be.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = self.bytes = self.images = 0

    @contextmanager
    def enter(self) -> Iterator[Held]:
        """Let one request in.

        Raises:
            BusyError: there are as many as there may be.
        """
        if self.requests >= self.limits.queue:
            raise BusyError("the server has as many requests as it may; try again later")
        self.requests += 1
        held = Held(self)
        try:
            yield held
        finally:
            self.requests -= 1
            self.bytes -= held.bytes
            self.images -= held.images
