"""From an RGB picture to the numbers that the image tower takes, with Pillow and numpy alone."""

from dataclasses import dataclass
from functools import cache

import numpy
from PIL import Image

from crossprompt.errors import RequestError

GAP = 3
"""Times the wanted length from which a picture may be shrunk in a coarser way first: nothing of it
can be seen in the result (Pillow's ``reducing_gap``)."""
LARGEST = 4096
"""Pixels of the shorter side after resizing: the largest published CLIP takes 448."""
INFINITY = float("inf")
Three = tuple[float, float, float]
"""One number for each channel."""


@dataclass(frozen=True)
class PictureTransform:
    """Resize the shorter side, crop the centre, normalise: what ``Preprocess`` does to a picture
    that is to be classified."""

    side: int
    """Height and width of the result in pixels."""
    resize: int
    """Length of the shorter side before the central crop, at least ``side``."""
    mean: Three
    """Subtracted from each channel, in 0..1."""
    std: Three
    """Divides each channel."""
    interpolation: Image.Resampling
    """How pixels are interpolated."""

    @property
    def enough(self) -> int:
        """Shorter side of a picture that is as good as a larger one, in pixels."""
        return GAP * self.resize

    def __call__(self, image: Image.Image) -> numpy.ndarray:
        """``[3, side, side]`` in fp32; ``RequestError`` if the picture is not RGB."""
        cropped = crop_centre(image, self.side, self.resize, self.interpolation)
        return normalise(cropped, self.mean, self.std)


def check_transform(side: int, resize: int, mean: Three, std: Three) -> None:
    """``RequestError`` if no picture can be treated so, or only with more memory than there is.

    Args:
        side: see ``PictureTransform``, as are the others.
        resize: length of the shorter side.
        mean: of each channel.
        std: of each channel.
    """
    if not 0 < side <= resize:
        raise RequestError(
            f"cannot crop a side of {side} pixels from a shorter side of {resize}; expected a crop "
            "no larger than the resized picture"
        )
    if resize > LARGEST:
        raise RequestError(
            f"found a shorter side of {resize} pixels, expected {LARGEST} at most; the file is "
            "damaged"
        )
    if not all(abs(x) < INFINITY for x in mean) or not all(0 < x < INFINITY for x in std):
        raise RequestError(
            f"cannot subtract {mean} and divide by {std}; expected numbers, to divide by above 0"
        )


def crop_centre(
    image: Image.Image, side: int, resize: int, interpolation: Image.Resampling
) -> Image.Image:
    """Resize the shorter side, then crop the centre.

    Args:
        image: of any size.
        side: height and width of the result in pixels.
        resize: length of the shorter side before the crop, at least ``side``.
        interpolation: how pixels are interpolated.
    """
    width, height = image.size
    shorter = min(width, height)
    size = (resize * width // shorter, resize * height // shorter)
    image = image if image.size == size else image.resize(size, interpolation)
    left, upper = ((length - side) // 2 for length in size)
    return image.crop((left, upper, left + side, upper + side))


def normalise(image: Image.Image, mean: Three, std: Three) -> numpy.ndarray:
    """Subtract the mean, divide by the deviation: ``[3, height, width]`` in fp32.

    Args:
        image: RGB.
        mean: of each channel, in 0..1.
        std: of each channel.

    Raises:
        RequestError: the picture is not RGB.
    """
    if image.mode != "RGB":
        raise RequestError(f"expected an RGB picture, found mode {image.mode!r}; convert it first")
    pixels, result = numpy.asarray(image), numpy.empty((3, *image.size[::-1]), numpy.float32)
    for channel, values in enumerate(_normalised_bytes(mean, std)):
        numpy.take(values, pixels[..., channel], out=result[channel])
    return result


@cache
def _normalised_bytes(mean: Three, std: Three) -> numpy.ndarray:
    """What each of a channel's 256 values becomes, ``[3, 256]``: a look-up replaces four passes."""
    values = numpy.arange(256, dtype=numpy.float32) / numpy.float32(255)
    rows = [(values - numpy.float32(m)) / numpy.float32(s) for m, s in zip(mean, std, strict=True)]
    return numpy.stack(rows)
