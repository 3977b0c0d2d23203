"""A task: a data set that is learned together with others, and its turn in every step."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.data.items import Item
from crossprompt.data.loading import to_device
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.mmap import MmAP
from crossprompt.plan import Plan, images_of
from crossprompt.shapes import Scalar
from crossprompt.train import count_shots
from crossprompt.train_config import TrainConfig

Batch = tuple[Tensor, Tensor]
"""Images ``[batch, 3, side, side]`` and labels ``[batch]``."""


@dataclass(frozen=True)
class Task:
    """Training images with the method that learns from them."""

    name: str
    """What its run is called."""
    method: MmAP
    """With a prompt of its own and one of its group."""
    recipe: Recipe
    """By which it is trained."""
    plan: Plan
    """Of its batches."""

    @classmethod
    def of(
        cls,
        name: str,
        method: Method,
        items: Sequence[Item],
        clip: CLIP,
        config: TrainConfig,
    ) -> "Task":
        """Plan the batches that the method's recipe asks for.

        Args:
            name: what its run is called.
            method: ``MmAP``, the one that learns several tasks together.
            items: labelled training images, at least one.
            clip: the frozen backbone.
            config: what is changed of the recipe, and the seed.
        """
        assert isinstance(method, MmAP)
        recipe, seed = config.recipe_of(MmAP, count_shots(items)), config.seed
        read = images_of(items, clip, seed, recipe.smallest_crop if recipe.augment else None)
        plan = Plan([item.label for item in items], recipe.batch_size, seed, read)
        return cls(name, method, recipe, plan)

    def loss(self, clip: CLIP, batch: Batch) -> Scalar:
        """Of a batch."""
        images, labels = (to_device(x, clip.device) for x in batch)
        return self.method.loss(clip, images, labels)


def steps_of(tasks: Sequence[Task]) -> int:
    """Steps of an epoch: as many as the largest task has batches."""
    return max(task.plan.steps for task in tasks)


def batches_of(tasks: Sequence[Task], epoch: int) -> Iterator[tuple[Batch, ...]]:
    """A batch of every task in turn, for every step of an epoch; small tasks begin anew.

    Args:
        tasks: in turn.
        epoch: counted from 1.
    """
    steps = steps_of(tasks)

    def batches(plan: Plan) -> Iterator[Batch]:
        rounds = math.ceil(steps / plan.steps)
        for number in range((epoch - 1) * rounds + 1, epoch * rounds + 1):
            yield from plan.epoch(number)

    return islice(zip(*(batches(task.plan) for task in tasks), strict=False), steps)
