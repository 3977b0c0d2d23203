"""Loads images as tensors: batches of any number of files, and a cache of decoded images."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from PIL.Image import Image

from crossprompt.data.images import prefetch, read_image
from crossprompt.utils.shapes import Images


class Batch(NamedTuple):
    """Images and their paths, in order."""

    paths: tuple[Path, ...]
    images: Images


def read_batches(
    paths: Iterable[Path],
    transform: Callable[[Image], torch.Tensor],
    batch_size: int,
    *,
    enough: int | None = None,
) -> Iterator[Batch]:
    """Read and transform any number of images in constant memory.

    Args:
        paths: files, may be a generator.
        transform: image to ``[3, side, side]``.
        batch_size: images in a batch.
        enough: pixels of the shorter side that suffice, see ``read_image``.

    Raises:
        RequestError: a file cannot be read.
    """

    def read(path: Path) -> tuple[Path, torch.Tensor]:
        return path, transform(read_image(path, enough))

    results = prefetch(read, paths)
    while group := list(islice(results, batch_size)):
        found, images = zip(*group, strict=True)
        yield Batch(found, torch.stack(images))


class ImageCache:
    """Decoded images, up to a budget, of files that are read once an epoch.

    Args:
        enough: pixels of the shorter side that suffice, see ``read_image``.
        budget: bytes of pixels to cache at most.
    """

    def __init__(self, enough: int | None = None, budget: int = 512 * 2**20) -> None:
        self._enough, self._left = enough, budget
        self._images: dict[Path, Image] = {}

    def read(self, path: Path) -> Image:
        """The image, from memory where it fits."""
        if path in self._images:
            return self._images[path]
        image = read_image(path, self._enough)
        size = 3 * image.width * image.height
        if size <= self._left:
            self._left -= size
            self._images[path] = image
        return image
