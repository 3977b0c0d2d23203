"""Images as tensors, and as features of the frozen image tower.

First batches of any number of files, then the few-shot images as a method sees them.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.data.images import prefetch, read_image
from crossprompt.utils.config import require
from crossprompt.utils.device import to_device
from crossprompt.utils.shapes import ImageFeatures, Images

Crops = Float[Tensor, "epochs images embed"]
Read = Callable[[int, int], Tensor]
"""Input of a method for the image at a position in an epoch."""
CALIBRATION_IMAGES = 512
"""Most images in the batch that calibrates prompts."""
BATCH = 64
"""Images at a time through the image tower."""


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


@dataclass(frozen=True)
class Features:
    """Frozen image features of a split, with the test transform."""

    features: ImageFeatures
    """``[images, embed]``, fp32, not normalized."""
    labels: list[int]

    @property
    def normalized(self) -> np.ndarray:
        """Features of length 1, on the CPU."""
        return normalize(self.features, dim=-1).cpu().numpy()


@dataclass(frozen=True)
class Examples:
    """Training and validation images of a task, read when they are first needed.

    Args:
        clip: the backbone whose transform and image tower are used.
        train: few-shot training items.
        val: validation items, may be empty.
        seed: of the choice of calibration images.
    """

    clip: CLIP = field(repr=False)
    train: Sequence[Item]
    val: Sequence[Item] = ()
    seed: int = 1

    @cached_property
    def train_features(self) -> Features:
        """Features of the training images."""
        return encode_split(self.clip, self.train)

    @cached_property
    def val_features(self) -> Features:
        """Features of the validation images."""
        return encode_split(self.clip, self.val)

    @cached_property
    def calibration(self) -> Images:
        """At most 512 training images with the test transform, balanced over the classes.

        Raises:
            RequestError: there is no training image, or one cannot be read.
        """
        require(len(self.train) > 0, "no training images were given; freezing calibrates on them")
        items = balanced(self.train, CALIBRATION_IMAGES, self.seed)
        return torch.cat(list(_read(self.clip, items)))


@torch.no_grad()
def encode_split(clip: CLIP, items: Sequence[Item]) -> Features:
    """Encode every image of ``items`` once, with the test transform."""
    parts: list[Tensor] = [clip.encode_images(images).float() for images in _read(clip, items)]
    features = torch.cat(parts) if parts else torch.empty(0, clip.config.embed, device=clip.device)
    return Features(features, [item.label for item in items])


def _read(clip: CLIP, items: Sequence[Item]) -> Iterator[Images]:
    """Batches of images with the test transform, on the backbone's device."""
    paths, transform = [item.path for item in items], clip.preprocess
    for batch in read_batches(paths, transform, BATCH, enough=transform.enough):
        yield to_device(batch.images, clip.device)


def balanced(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """At most ``count`` items, drawn in turn from every class.

    Args:
        items: labelled images; if no more than ``count``, all in their order.
        count: number to draw.
        seed: of the draw within each class.
    """
    if len(items) <= count:
        return list(items)
    generator = random.Random(seed)
    by_label: dict[int, list[Item]] = {}
    for item in items:
        by_label.setdefault(item.label, []).append(item)
    for group in by_label.values():
        generator.shuffle(group)
    turns = [
        group[turn] for turn in range(count) for group in by_label.values() if turn < len(group)
    ]
    return turns[:count]


def images_of(items: Sequence[Item], clip: CLIP, seed: int, smallest_crop: float | None) -> Read:
    """Reader of pixels ``[3, side, side]``, without a smallest crop with the test transform."""
    preprocess = clip.preprocess
    cache = ImageCache(
        preprocess.enough if smallest_crop is None else preprocess.enough_for_crops(smallest_crop)
    )

    def read(position: int, epoch: int) -> Tensor:
        image = cache.read(items[position].path)
        if smallest_crop is None:
            return clip.preprocess(image)
        # seeded by the image and the epoch, not by when a thread comes to it
        generator = random.Random(f"{seed}:{epoch}:{position}")
        return clip.preprocess.train(image, generator, scale=(smallest_crop, 1.0))

    return read


def features_of(items: Sequence[Item], clip: CLIP) -> Read:
    """Reader of features ``[embed]`` with the test transform; every image is encoded only once."""
    features = encode_split(clip, items).features
    return lambda position, epoch: features[position]


def views_of(
    items: Sequence[Item], clip: CLIP, seed: int, smallest_crop: float, views: int
) -> Read:
    """Reader of features ``[embed]`` of the crops of the first ``views`` epochs, then repeated.

    See ``encode_crops``.
    """
    features = encode_crops(items, clip, seed, smallest_crop, range(1, 1 + views))
    return lambda position, epoch: features[(epoch - 1) % views, position]


@torch.no_grad()
def encode_crops(
    items: Sequence[Item], clip: CLIP, seed: int, smallest_crop: float, epochs: Sequence[int]
) -> Crops:
    """Encode the crops that ``images_of`` draws in some epochs; not normalized, in fp32.

    Epochs before 1 are never trained on.
    """
    read = images_of(items, clip, seed, smallest_crop)
    wanted = [(position, epoch) for epoch in epochs for position in range(len(items))]
    crops = prefetch(lambda task: read(*task), wanted)
    parts = []
    while batch := list(islice(crops, BATCH)):
        parts.append(clip.encode_images(torch.stack(batch).to(clip.device)).float())
    return torch.cat(parts).unflatten(0, (len(epochs), len(items)))
