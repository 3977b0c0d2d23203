"""Batch sampler: a seeded shuffle per epoch, sharded identically over any number of processes."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from crossprompt.data.images import prefetch
from crossprompt.errors import RequestError
from crossprompt.methods.features import Read
from crossprompt.utils import distributed

Batch = tuple[Tensor, Tensor]
"""Inputs ``[batch, …]`` and labels ``[batch]``."""


@runtime_checkable
class Sampler(Protocol):
    """Batches of every epoch, of one data set or of several; see ``BatchSampler``."""

    steps: int
    batch_size: int
    seed: int

    def epoch(self, epoch: int) -> Iterable[tuple[Any, Any]]:
        """Yield inputs and labels for every step of an epoch, counted from 1."""


def share_of(batch_size: int) -> int:
    """Images of a batch for each process.

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


class BatchSampler:
    """Batches of training images in a seeded order; an incomplete last one is dropped.

    Args:
        labels: of the training images.
        batch_size: images in a step, over all processes; at most all images.
        seed: of the order.
        read: gives an image or its features for a position and an epoch.
        to_inputs: turns a batch of these into the input of the method.

    Raises:
        RequestError: the processes cannot share a batch evenly.
    """

    def __init__(
        self,
        labels: Sequence[int],
        batch_size: int,
        seed: int,
        read: Read,
        to_inputs: Callable[[Batch], Batch] = lambda batch: batch,
    ) -> None:
        self.labels, self.seed, self.read, self.to_inputs = labels, seed, read, to_inputs
        self.batch_size = min(batch_size, len(labels))
        self.share = share_of(self.batch_size)
        self.steps = len(labels) // self.batch_size

    def batches(self, epoch: int) -> list[list[int]]:
        """Positions of every step's images, over all processes."""
        order = list(range(len(self.labels)))
        random.Random(f"{self.seed}:{epoch}").shuffle(order)
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(self.steps)]

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the inputs ``[batch, …]`` and labels ``[batch]`` of this process for every step."""
        mine = slice(distributed.rank() * self.share, (distributed.rank() + 1) * self.share)
        batches = [batch[mine] for batch in self.batches(epoch)]
        positions = [position for batch in batches for position in batch]
        inputs = prefetch(lambda position: self.read(position, epoch), positions)
        for batch in batches:
            labels = torch.tensor([self.labels[position] for position in batch])
            yield self.to_inputs((torch.stack([next(inputs) for _ in batch]), labels))
