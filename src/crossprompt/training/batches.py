"""Which images make up each step of a training, the same for any number of processes."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.data.loader import ImageCache, map_ahead
from crossprompt.errors import RequestError
from crossprompt.methods.features import BATCH, encode_split
from crossprompt.utils import distributed

Crops = Float[Tensor, "epochs images embed"]
"""Features of one crop of every image for every epoch."""
Read = Callable[[int, int], Tensor]
"""What a method is shown of the item at a position in an epoch."""


def share_of(batch_size: int) -> int:
    """How many images of a batch are each process's.

    Raises:
        RequestError: the processes cannot share it evenly.
    """
    processes = distributed.processes()
    if batch_size % processes:
        raise RequestError(
            f"{batch_size} images a step cannot be shared by {processes} processes; set "
            "--batch-size to a multiple"
        )
    return batch_size // processes


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
    """Features of the crops that ``images_of`` shows in some epochs, not normalised, in fp32.

    Args:
        items: labelled training images.
        clip: for the transform and the image tower.
        seed: of the augmentation.
        smallest_crop: part of an image's area.
        epochs: which; those before 1 are never trained on.
    """
    read = images_of(items, clip, seed, smallest_crop)
    wanted = [(position, epoch) for epoch in epochs for position in range(len(items))]
    crops = map_ahead(lambda task: read(*task), wanted)
    parts = []
    while batch := list(islice(crops, BATCH)):
        parts.append(clip.encode_images(torch.stack(batch).to(clip.device)).float())
    return torch.cat(parts).unflatten(0, (len(epochs), len(items)))


class Plan:
    """A seeded order for every epoch, cut into batches; an incomplete last one is dropped.

    Args:
        labels: of the training images.
        batch_size: images in a step, over all processes; fewer only if there are not so many.
        seed: of the order.
        read: what to show of an image.

    Raises:
        RequestError: the processes cannot share a batch evenly.
    """

    def __init__(self, labels: Sequence[int], batch_size: int, seed: int, read: Read) -> None:
        self.labels, self.seed, self.read = labels, seed, read
        self.batch_size = min(batch_size, len(labels))
        self.share = share_of(self.batch_size)
        self.steps = len(labels) // self.batch_size

    def batches(self, epoch: int) -> list[list[int]]:
        """Positions of every step's images, over all processes."""
        order = list(range(len(self.labels)))
        random.Random(f"{self.seed}:{epoch}").shuffle(order)
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(self.steps)]

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """What this process is shown ``[batch, …]`` and labels ``[batch]``, of every step."""
        mine = slice(distributed.rank() * self.share, (distributed.rank() + 1) * self.share)
        batches = [batch[mine] for batch in self.batches(epoch)]
        positions = [position for batch in batches for position in batch]
        shown = map_ahead(lambda position: self.read(position, epoch), positions)
        for batch in batches:
            labels = torch.tensor([self.labels[position] for position in batch])
            yield torch.stack([next(shown) for _ in batch]), labels
