"""Limits of a request and of all requests together; imports no package of the extra ``serve``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crossprompt.utils.config import Settings, require

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "AVIF")
"""Pillow's names of the formats that are decoded (MPO is the JPEG of some phones): each further
decoder could be attacked."""
UPLOADS_HELD = 8
"""Requests of the largest size that may be in memory at once."""
MIB = 2**20


@dataclass(frozen=True)
class Limits(Settings):
    """The defaults suit two cores and a gigabyte of memory; nothing is unlimited."""

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


class BusyError(Exception):
    """The server is at its limits; the same request can be answered later."""


Reserve = Callable[[str, int], None]


class Admission:
    """Counts the requests, bytes and images in memory; used by the event loop's thread alone."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        uploads = UPLOADS_HELD * limits.max_upload
        self.most = {"requests": limits.queue, "images": limits.queue, "bytes": uploads}
        self.held = dict.fromkeys(self.most, 0)

    @contextmanager
    def enter(self) -> Iterator[Reserve]:
        """Admit a request and let it reserve more, all of which is released when it is answered.

        Raises:
            BusyError: there is no room, also when more is reserved.
        """
        own = dict.fromkeys(self.held, 0)

        def reserve(name: str, count: int) -> None:
            if self.held[name] + count > self.most[name]:
                raise BusyError(f"the server holds as many {name} as it may; try again later")
            self.held[name] += count
            own[name] += count

        reserve("requests", 1)
        try:
            yield reserve
        finally:
            for name, count in own.items():
                self.held[name] -= count
