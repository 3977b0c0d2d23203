"""Reads and checks image files: any kind that Pillow opens, as RGB.

``read_image``, ``decode_image`` and ``convert_image`` decode alike, and raise one exception for
everything that is no image.
"""

import os
import stat
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from math import ceil
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from crossprompt.errors import RequestError
from crossprompt.utils.text import indented, one_line

Task = TypeVar("Task")
Value = TypeVar("Value")

WORKERS = min(8, os.cpu_count() or 1)
"""Threads that decode; Pillow releases the interpreter's lock while it does."""
AHEAD = 4
"""Tasks in flight per thread."""


def prefetch(function: Callable[[Task], Value], tasks: Iterable[Task]) -> Iterator[Value]:
    """``map`` in threads, in order, at most ``WORKERS * AHEAD`` results ahead of the consumer."""
    with ThreadPoolExecutor(WORKERS) as pool:
        source = iter(tasks)
        waiting: deque[Future[Value]] = deque(
            pool.submit(function, task) for task in islice(source, WORKERS * AHEAD)
        )
        try:
            while waiting:
                value = waiting.popleft().result()
                waiting.extend(pool.submit(function, task) for task in islice(source, 1))
                yield value
        finally:
            for future in waiting:
                future.cancel()


ProgressCallback = Callable[[int, int], None]
"""Function of the number of images done and the number of all."""

_RUN_PROGRAMS = frozenset(("EPS", "WMF"))  # Pillow starts Ghostscript, or lets Windows draw
_SIXTEEN_BIT_IN_I = frozenset(("PNG", "PPM"))  # 16-bit files that Pillow holds in 32-bit pixels
_EMPTY = "the file is empty (0 bytes)"
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class BadImage:
    """A file that cannot be read as an image, and the reason."""

    path: Path
    reason: str


class UnreadableImageError(RequestError):
    """A file cannot be read as an image; ``bad`` holds its path and the reason."""

    def __init__(self, bad: BadImage) -> None:
        super().__init__(bad)  # so that it can be sent from a worker process
        self.bad = bad

    def __str__(self) -> str:
        return f"cannot read the image {self.bad.path}: {self.bad.reason}"


class UndecodableImageError(RequestError):
    """Bytes cannot be decoded as an image; the message is the reason."""


def read_image(path: str | os.PathLike[str], enough: int | None = None) -> Image.Image:
    """Read an image file as 8-bit RGB, upright.

    The EXIF rotation is applied, 16-bit grays are scaled to 8 bits, transparency is laid on white,
    and of several frames or pages the first is taken. Color profiles are not applied.

    Args:
        path: the file.
        enough: pixels of the shorter side that suffice; a JPEG is then decoded, several times
            faster, at a half, a quarter or an eighth of its size. All pixels by default.

    Raises:
        UnreadableImageError: the file is missing, empty, damaged, truncated, too large, or no
            image.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _RefusedError("a folder or a device, no file")  # a pipe would be waited for
        if status.st_size == 0:
            raise _RefusedError(_EMPTY)
        return _open(path, enough)
    except Exception as error:  # on garbage Pillow raises anything, down to struct.error
        raise UnreadableImageError(BadImage(path, _reason(error))) from error


def decode_image(
    file: BytesIO,
    enough: int | None = None,
    *,
    formats: Sequence[str] | None = None,
    most_pixels: int | None = None,
) -> Image.Image:
    """Decode an image in memory, as ``read_image`` does.

    Args:
        file: the bytes.
        enough: see ``read_image``.
        formats: Pillow's names of accepted formats; all that need no other program by default.
        most_pixels: a larger image is an error before it is decoded; Pillow's limit by default.

    Raises:
        UndecodableImageError: it is empty, damaged, truncated, too large, or no image.
    """
    try:
        if file.seek(0, os.SEEK_END) == 0:
            raise _RefusedError(_EMPTY)
        return _open(file, enough, formats, most_pixels)
    except Exception as error:
        raise UndecodableImageError(_reason(error, formats)) from error


def convert_image(image: Image.Image) -> Image.Image:
    """Convert an image that Pillow has opened, of any mode, as ``read_image`` does.

    Raises:
        UndecodableImageError: its file is damaged or closed, or its pixels have no fixed range.
    """
    try:
        with _pillow_warnings_ignored:
            return _decode(image)
    except Exception as error:
        raise UndecodableImageError(_reason(error)) from error


def check_images(
    paths: Sequence[Path], skip_bad: bool = False, progress: ProgressCallback | None = None
) -> list[BadImage]:
    """Read every image once and return those that cannot be read, in the order of ``paths``.

    Args:
        paths: image files; one given twice is read once.
        skip_bad: return the bad ones without raising.
        progress: called with (images done, images in all) after every image.

    Raises:
        RequestError: there are bad images and ``skip_bad`` is false; up to 20 are listed, each with
            its reason.
    """
    paths = list(dict.fromkeys(paths))
    bad = []
    for done, found in enumerate(prefetch(_check, paths), start=1):
        if found:
            bad.append(found)
        if progress:
            progress(done, len(paths))
    if bad and not skip_bad:
        raise RequestError(
            f"{len(bad)} of {len(paths)} images cannot be read; repair or remove them, "
            f"or leave them out with --skip-bad-images (skip_bad_images=True):\n{list_bad(bad)}"
        )
    return bad


def list_bad(bad: Sequence[BadImage]) -> str:
    """A line for each of the first 20 bad images and the number of the others."""
    return indented([f"{image.path}: {image.reason}" for image in bad])


def _check(path: Path) -> BadImage | None:
    try:
        read_image(path, enough=1)  # every byte is decoded, but to few pixels
    except UnreadableImageError as error:
        return error.bad
    return None


def _open(
    source: Path | BytesIO,
    enough: int | None,
    formats: Sequence[str] | None = None,
    most_pixels: int | None = None,
) -> Image.Image:
    Image.init()
    known = [name for name in list(Image.OPEN) if name not in _RUN_PROGRAMS]
    taken = [name for name in known if formats is None or name in formats]
    with _pillow_warnings_ignored, Image.open(source, formats=taken) as image:
        width, height = image.size
        if most_pixels is not None and width * height > most_pixels:
            raise _RefusedError(
                f"too many pixels, {width:,} x {height:,}; expected at most {most_pixels:,} in all"
            )
        if enough is not None:
            width, height = (ceil(enough * side / min(image.size)) for side in image.size)
            image.draft(None, (width, height))  # only JPEG is decoded at a smaller size
        return _decode(image)


def _decode(image: Image.Image) -> Image.Image:
    if 0 in image.size:  # for example a crop without width
        raise _RefusedError("no pixels, {} x {}".format(*image.size))
    image.load()
    try:
        orientation = image.getexif().get(_ORIENTATION)  # before a conversion, which may lose it
    except Exception:  # damaged metadata raises anything, and the pixels are fine without it
        orientation = None
    image = _flatten(image)
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BIT_IN_I):
        gray = image.convert("I").point(lambda value: value * (1 / 257) + 0.5)  # 65535 -> 255
        return gray.convert("L").convert("RGB")
    if image.mode in ("I", "F"):
        raise _RefusedError(
            f"32-bit pixels (mode {image.mode}) have no fixed range; save it with 8 or 16 bits"
        )
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


class _RefusedError(Exception):
    """A fault found here and not by Pillow."""


def _reason(error: Exception, formats: Sequence[str] | None = None) -> str:
    match error:
        case _RefusedError():
            return str(error)
        case FileNotFoundError():
            return "no such file"
        case PermissionError():
            return "permission denied"
        case UnidentifiedImageError():
            taken = f"that is taken ({', '.join(formats)})" if formats else "Pillow can read"
            return f"not an image format {taken}, or damaged in its first bytes"
        case MemoryError():
            return "too large for the memory"
    return f"cannot be decoded: {one_line(error) or type(error).__name__}"


class _PillowWarningsIgnored:
    """Ignores Pillow's warnings while any thread reads: the filters belong to all threads."""

    def __init__(self) -> None:
        self.lock, self.readers, self.filters = threading.Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self.lock:
            if self.readers == 0:
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\b")
            self.readers += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.readers -= 1
            if self.readers == 0:
                self.filters.__exit__(None, None, None)


_pillow_warnings_ignored = _PillowWarningsIgnored()
