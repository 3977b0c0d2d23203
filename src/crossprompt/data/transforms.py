"""Image transform for inference (resize, center crop, normalize), with Pillow and numpy alone."""

from dataclasses import dataclass
from functools import cache
from math import inf

import numpy
from PIL import Image

from crossprompt.errors import RequestError

GAP = 3
"""Factor of the wanted length down to which an image may be shrunk coarsely first, without visible
effect (Pillow's ``reducing_gap``)."""
LARGEST = 4096
"""Pixels of the shorter side after resizing: the largest published CLIP takes 448."""
Three = tuple[float, float, float]
"""One number for each channel."""
MEAN: Three = (0.48145466, 0.4578275, 0.40821073)
STD: Three = (0.26862954, 0.26130258, 0.27577711)
"""Statistics of CLIP's training images; every published checkpoint uses them."""


@dataclass(frozen=True)
class PictureTransform:
    """A checkpoint's transform of an image that is to be classified.

    Raises:
        RequestError: no image can be transformed so, or only with more memory than there is.
    """

    side: int
    """Height and width of the result in pixels."""
    resize: int
    """Length of the shorter side before the central crop, at least ``side``."""
    mean: Three = MEAN
    """Mean of each channel, in 0..1, which is subtracted."""
    std: Three = STD
    """Standard deviation of each channel, by which it is divided."""
    interpolation: Image.Resampling = Image.Resampling.BICUBIC

    def __post_init__(self) -> None:
        if not 0 < self.side <= self.resize:
            raise RequestError(
                f"cannot crop a side of {self.side} pixels from a shorter side of {self.resize}"
            )
        if self.resize > LARGEST:
            raise RequestError(
                f"found a shorter side of {self.resize} pixels, expected {LARGEST} at most"
            )
        finite = all(abs(x) < inf for x in self.mean)
        if not finite or not all(0 < x < inf for x in self.std):
            raise RequestError(
                f"cannot subtract {self.mean} and divide by {self.std}; expected numbers"
            )

    @property
    def enough(self) -> int:
        """Pixels of an image's shorter side beyond which more make no difference."""
        return GAP * self.resize

    def crop(self, image: Image.Image) -> Image.Image:
        """The image resized, and the center of that, ``side`` pixels high and wide."""
        width, height = image.size
        shorter = min(width, height)
        size = (self.resize * width // shorter, self.resize * height // shorter)
        image = image if image.size == size else image.resize(size, self.interpolation)
        left, upper = ((length - self.side) // 2 for length in size)
        return image.crop((left, upper, left + self.side, upper + self.side))

    def pixels(self, image: Image.Image) -> numpy.ndarray:
        """``[3, side, side]`` in fp32; ``RequestError`` if the image is not RGB."""
        return normalize(self.crop(image), self.mean, self.std)


def normalize(image: Image.Image, mean: Three, std: Three) -> numpy.ndarray:
    """Subtract the mean (in 0..1) and divide by the deviation: ``[3, height, width]`` in fp32.

    Raises:
        RequestError: the image is not RGB.
    """
    if image.mode != "RGB":
        raise RequestError(f"expected an RGB picture, found mode {image.mode!r}; convert it first")
    pixels, result = numpy.asarray(image), numpy.empty((3, *image.size[::-1]), numpy.float32)
    for channel, values in enumerate(_normalized_bytes(mean, std)):
        numpy.take(values, pixels[..., channel], out=result[channel])
    return result


@cache
def _normalized_bytes(mean: Three, std: Three) -> numpy.ndarray:
    """The result for each of a channel's 256 values, ``[3, 256]``: a look-up saves four passes."""
    values = numpy.arange(256, dtype=numpy.float32) / numpy.float32(255)
    rows = [(values - numpy.float32(m)) / numpy.float32(s) for m, s in zip(mean, std, strict=True)]
    return numpy.stack(rows)
