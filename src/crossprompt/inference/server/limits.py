"""What a request may ask for, and what the server keeps at once."""

from dataclasses import dataclass

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
