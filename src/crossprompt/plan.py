"""Which images make up each step of a training, the same for any number of processes."""

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from crossprompt import distributed
from crossprompt.clip.model import CLIP
from crossprompt.data.items import Item
from crossprompt.data.loading import ImageCache, map_ahead
from crossprompt.errors import RequestError


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


class Plan:
    """A seeded order for every epoch, cut into batches; an incomplete last one is dropped.

    Args:
        items: labelled training images.
        clip: for the transform and the device.
        batch_size: images in a step, over all processes; fewer only if there are not so many.
        seed: of the order and the augmentation.
        augment: random crops and flips, instead of the test transform.

    Raises:
        RequestError: the processes cannot share a batch evenly.
    """

    def __init__(
        self, items: Sequence[Item], clip: CLIP, batch_size: int, seed: int, augment: bool
    ) -> None:
        self.items, self.clip, self.seed, self.augment = items, clip, seed, augment
        self.cache = ImageCache()
        self.batch_size = min(batch_size, len(items))
        self.share = share_of(self.batch_size)
        self.steps = len(items) // self.batch_size

    def batches(self, epoch: int) -> list[list[int]]:
        """Positions in ``items`` of every step's images, over all processes."""
        order = list(range(len(self.items)))
        random.Random(f"{self.seed}:{epoch}").shuffle(order)
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(self.steps)]

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's images ``[batch, 3, side, side]`` and labels ``[batch]`` of every step."""
        mine = slice(distributed.rank() * self.share, (distributed.rank() + 1) * self.share)
        batches = [batch[mine] for batch in self.batches(epoch)]
        positions = [position for batch in batches for position in batch]
        pixels = map_ahead(lambda position: self._read(position, epoch), positions)
        for batch in batches:
            images = torch.stack([next(pixels) for _ in batch])
            labels = torch.tensor([self.items[position].label for position in batch])
            yield images.to(self.clip.device), labels.to(self.clip.device)

    def _read(self, position: int, epoch: int) -> Tensor:
        image = self.cache.read(self.items[position].path)
        if not self.augment:
            return self.clip.preprocess(image)
        # seeded by the image and the epoch, not by when a thread comes to it
        generator = random.Random(f"{self.seed}:{epoch}:{position}")
        return self.clip.preprocess.train(image, generator)
