"""Bounds what all requests together hold: a request that would be too much is told to come later.

Used from the event loop's thread alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crossprompt.inference.server.errors import BusyError
from crossprompt.utils.config import Settings, require

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "AVIF")
"""Pillow's names of what is decoded: pictures from cameras and the web, and their decoders alone.

MPO is the JPEG of some telephones.
"""
UPLOADS_HELD = 8
"""Requests of the largest size that may lie in memory at once."""
MIB = 2**20


@dataclass(frozen=True)
class Limits(Settings):
    """Every one has a default that suits two cores and a gigabyte; nothing is unlimited."""

    max_batch: int = 32
    """Images that share a forward pass at most."""
    max_wait_ms: float = 4.0
    """Milliseconds that an image waits for others to share a forward pass with."""
    queue: int = 128
    """Images, and requests, that are accepted and not yet answered at most; others get a 503."""
    max_upload_mb: float = 20.0
    """Size of a request's body in MiB."""
    max_pixels: int = 25_000_000
    """Width times height of an image."""
    max_images: int = 16
    """Images in a request."""
    timeout: float = 30.0
    """Seconds a request may take to arrive, and again to be answered."""

    def __post_init__(self) -> None:
        """Refuse what could never answer.

        Raises:
            RequestError: a limit is not above 0, or the queue cannot hold one request.
        """
        for name in ("max_batch", "queue", "max_upload_mb", "max_pixels", "max_images", "timeout"):
            value = getattr(self, name)
            require(value > 0, f"{name} is {value}, expected more than 0")
        require(self.max_wait_ms >= 0, f"max_wait_ms is {self.max_wait_ms}, expected 0 or more")
        require(
            self.queue >= self.max_images,
            f"a queue of {self.queue} images has no room for the {self.max_images} that a request "
            "may hold; make the queue longer or max_images smaller",
        )

    @property
    def max_upload(self) -> int:
        """Bytes of a request's body."""
        return int(self.max_upload_mb * MIB)

    @property
    def max_held(self) -> int:
        """Bytes of all bodies together."""
        return UPLOADS_HELD * self.max_upload


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
