"""References to images to classify: small, picklable, read only when their turn comes."""

import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL.Image import Image

from crossprompt.data.images import UndecodableImageError, convert_image, decode_image, read_image

_converting = threading.Lock()


@dataclass(frozen=True)
class Input(ABC):
    """Base of every reference."""

    name: str
    """The name in the results."""

    @abstractmethod
    def read(self, enough: int | None = None) -> Image:
        """The image as 8-bit RGB, see ``read_image``; ``RequestError`` if it cannot be read."""

    @abstractmethod
    def version(self) -> str:
        """A text that changes when the image does, as far as can be seen without reading it."""


@dataclass(frozen=True)
class ImageFile(Input):
    """A file of its own."""

    path: str

    def read(self, enough: int | None = None) -> Image:
        """Read the file."""
        return read_image(self.path, enough)

    def version(self) -> str:
        """Size and time of its last change."""
        return version_of_file(self.path)


@dataclass(frozen=True)
class Slice(Input):
    """Bytes within a larger file."""

    path: str
    offset: int
    size: int

    def read(self, enough: int | None = None) -> Image:
        """Read these bytes alone."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            found = f"{len(content):,} of {self.size:,} bytes"
            raise UndecodableImageError(f"{Path(self.path).name} ends early: {found} are there")
        return decode_image(BytesIO(content), enough)

    def version(self) -> str:
        """Its position; the larger file has a version of its own."""
        return f"{self.offset}+{self.size}"


@dataclass(frozen=True)
class Picture(Input):
    """An image that Pillow has opened."""

    image: Image

    def read(self, enough: int | None = None) -> Image:
        """Convert a copy."""
        with _converting:  # the same image may be given twice, and is read from its file only once
            return convert_image(self.image)

    def version(self) -> str:
        """Its width and height, all that can be compared."""
        return "{} x {}".format(*self.image.size)


@dataclass(frozen=True)
class Broken(Input):
    """A place where an image should be and none is."""

    reason: str

    def read(self, enough: int | None = None) -> Image:
        """Raise the reason."""
        raise UndecodableImageError(self.reason)

    def version(self) -> str:
        """The reason."""
        return self.reason


def version_of_file(path: str | os.PathLike[str]) -> str:
    """Size in bytes and time of the last change in nanoseconds, or that there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: no path at all, such as one with a zero byte
        return "not there"
    return f"{status.st_size} bytes of {status.st_mtime_ns}"
