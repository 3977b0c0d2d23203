"""The few-shot images as a method may see them outside the training loop."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.data.loader import read_batches, to_device
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImageFeatures, Images

CALIBRATION_IMAGES = 512
"""At most, in the batch that dynamic prompts are frozen on."""
BATCH = 64
"""Images at a time through the image tower."""


@dataclass(frozen=True)
class Features:
    """Frozen image features of a split, with the test transform."""

    features: ImageFeatures
    """``[images, embed]``, fp32, not normalised."""
    labels: list[int]
    """One per image."""

    @property
    def normalised(self) -> np.ndarray:
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
