"""The few-shot images as a method may see them outside the training loop."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.data.loader import ImageCache, read_batches, to_device
from crossprompt.data.prefetch import prefetch
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImageFeatures, Images

Crops = Float[Tensor, "epochs images embed"]
"""Features of one crop of every image for every epoch."""
Read = Callable[[int, int], Tensor]
"""What a method is shown of the item at a position in an epoch."""
CALIBRATION_IMAGES = 512
"""At most, in the batch that dynamic prompts are frozen on."""
BATCH = 64
"""Images at a time through the image tower."""


@dataclass(frozen=True)
class Features:
    """Frozen image features of a split, with the test transform."""

    features: ImageFeatures
    """``[images, embed]``, fp32, not normalized."""
    labels: list[int]
    """One per image."""

    @property
    def normalized(self) -> np.ndarray:
        """``[images, embed]`` of length 1, on the CPU."""
        return normalize(self.features, dim=-1).cpu().numpy()


@dataclass(frozen=True)
class Examples:
    """Training and validation images of a task; nothing is read before it is asked for.

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
        """Of the training images."""
        return encode_split(self.clip, self.train)

    @cached_property
    def val_features(self) -> Features:
        """Of the validation images."""
        return encode_split(self.clip, self.val)

    @cached_property
    def calibration(self) -> Images:
        """At most 512 training images with the test transform, as many of each class as can be.

        Raises:
            RequestError: there is no training image, or one cannot be read.
        """
        require(len(self.train) > 0, "no training images were given; freezing calibrates on them")
        items = balanced(self.train, CALIBRATION_IMAGES, self.seed)
        paths, transform = [item.path for item in items], self.clip.preprocess
        batches = read_batches(paths, transform, BATCH, enough=transform.enough)
        return torch.cat([batch.images for batch in batches]).to(self.clip.device)


@torch.no_grad()
def encode_split(clip: CLIP, items: Sequence[Item]) -> Features:
    """Encode every image of ``items`` once, with the test transform."""
    paths, transform = [item.path for item in items], clip.preprocess
    parts: list[Tensor] = [
        clip.encode_images(to_device(batch.images, clip.device)).float()
        for batch in read_batches(paths, transform, BATCH, enough=transform.enough)
    ]
    features = torch.cat(parts) if parts else torch.empty(0, clip.config.embed, device=clip.device)
    return Features(features, [item.label for item in items])


def balanced(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """At most ``count`` items, drawn in turn from every class.

    Args:
        items: labelled images; all of them, in their order, where they are no more than ``count``.
        count: how many to draw.
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
    """Pixels ``[3, side, side]``.

    Args:
        items: labelled training images.
        clip: for the transform.
        seed: of the augmentation.
        smallest_crop: part of an image's area; None for the test transform, without augmentation.
    """
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
    """Features ``[embed]`` with the test transform, of images that are encoded once and for all."""
    features = encode_split(clip, items).features
    return lambda position, epoch: features[position]


def views_of(
    items: Sequence[Item], clip: CLIP, seed: int, smallest_crop: float, views: int
) -> Read:
    """Features ``[embed]`` of the crops of the first ``views`` epochs, shown again in their turn.

    Args:
        items: labelled training images.
        clip: for the transform and the image tower.
        seed: of the augmentation.
        smallest_crop: part of an image's area.
        views: crops of each image.
    """
    features = encode_crops(items, clip, seed, smallest_crop, range(1, 1 + views))
    return lambda position, epoch: features[(epoch - 1) % views, position]


@torch.no_grad()
def encode_crops(
    items: Sequence[Item], clip: CLIP, seed: int, smallest_crop: float, epochs: Sequence[int]
) -> Crops:
    """Features of the crops that ``images_of`` shows in some epochs, not normalized, in fp32.

    Args:
        items: labelled training images.
        clip: for the transform and the image tower.
        seed: of the augmentation.
        smallest_crop: part of an image's area.
        epochs: which; those before 1 are never trained on.
    """
    read = images_of(items, clip, seed, smallest_crop)
    wanted = [(position, epoch) for epoch in epochs for position in range(len(items))]
    crops = prefetch(lambda task: read(*task), wanted)
    parts = []
    while batch := list(islice(crops, BATCH)):
        parts.append(clip.encode_images(torch.stack(batch).to(clip.device)).float())
    return torch.cat(parts).unflatten(0, (len(epochs), len(items)))
