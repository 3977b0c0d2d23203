"""The one training loop, for every method."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossprompt import distributed
from crossprompt.clip.model import CLIP
from crossprompt.data.items import Item
from crossprompt.data.loading import ImageCache, map_ahead
from crossprompt.errors import JobError, RequestError
from crossprompt.examples import Examples
from crossprompt.methods.base import Method, Recipe
from crossprompt.settings import Settings, require
from crossprompt.state import TrainingState


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How to train; what is left out is the method's published recipe."""

    epochs: int | None = None
    """Passes over the training images."""
    batch_size: int | None = None
    """Images in a step, over all processes."""
    lr: float | None = None
    """Highest learning rate."""
    seed: int = 1
    """Of the order of the images and their augmentation."""
    augment: bool = True
    """Random crops and flips of the training images; without it the test transform."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"train: {name} is {value}, expected 1 or more")
        require(self.lr is None or self.lr > 0, f"train: lr is {self.lr}, expected more than 0")

    def applied_to(self, recipe: Recipe) -> Recipe:
        """The recipe with what the user set."""
        if recipe.epochs == 0:  # solved in closed form: there are no epochs to set
            return recipe
        chosen = {name: getattr(self, name) for name in ("epochs", "batch_size", "lr")}
        return replace(
            recipe, **{name: value for name, value in chosen.items() if value is not None}
        )


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch; a line of ``log.jsonl``."""

    epoch: int
    """Counted from 1."""
    epochs: int
    """In all."""
    loss: float
    """Mean over the steps."""
    lr: float
    """Learning rate of the epoch."""
    images_per_second: float
    """Over the epoch."""


@dataclass(frozen=True)
class StepReport:
    """One finished step, for progress bars."""

    step: int
    """Counted from 1 over the whole training."""
    steps: int
    """In all."""
    loss: float
    """Of this step, on this process."""
    lr: float
    """Learning rate."""


def train(
    method: Method,
    clip: CLIP,
    train: Sequence[Item],
    config: TrainConfig | None = None,
    *,
    val: Sequence[Item] = (),
    folder: Path | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> list[EpochReport]:
    """Train a method on few-shot images; the backbone stays as it is.

    Args:
        method: what to train, in place.
        clip: the frozen backbone.
        train: labelled training images.
        config: settings; the method's recipe by default.
        val: validation images, for methods that choose a setting on them.
        folder: where ``log.jsonl`` and the state after each epoch are kept.
        resume: go on from the state in ``folder``, to the result that an uninterrupted run has.
        on_step: called after every step.
        on_epoch: called after every epoch.

    Returns:
        One report per epoch, those before an interruption included.

    Raises:
        RequestError: no images, a label without a class, or a batch size that the processes cannot
        share. JobError: the loss is not finite; the state of the last good epoch is kept.
    """
    config = config or TrainConfig()
    _check_labels(train, method)
    method.prepare(clip, Examples(clip, train, val, config.seed))
    recipe = config.applied_to(method.recipe(_shots(train)))
    if recipe.epochs == 0:
        return []
    plan = Plan(train, clip, recipe, config)
    optimiser = build_optimiser(method, recipe)
    state = TrainingState(folder, method, optimiser)
    reports = [EpochReport(**line) for line in state.begin(resume)]
    method.train()
    with torch.random.fork_rng():  # methods with dropout draw from the global generator
        for epoch in range(len(reports) + 1, recipe.epochs + 1):
            lr = learning_rate(epoch, recipe)
            for group in optimiser.param_groups:
                group["lr"] = lr
            began, losses = time.perf_counter(), []
            for number, (images, labels) in enumerate(plan.epoch(epoch), start=1):
                step = (epoch - 1) * plan.steps + number
                torch.manual_seed(config.seed * 1_000_003 + step)
                losses.append(_step(method, clip, optimiser, images, labels, epoch, number))
                if on_step is not None:
                    on_step(StepReport(step, plan.steps * recipe.epochs, losses[-1], lr))
            seconds = time.perf_counter() - began
            rate = plan.steps * recipe.batch_size / seconds
            loss = distributed.mean(sum(losses) / len(losses))
            reports.append(EpochReport(epoch, recipe.epochs, loss, lr, round(rate, 2)))
            state.keep(reports)
            if on_epoch is not None:
                on_epoch(reports[-1])
    method.eval()
    return reports


def _step(
    method: Method,
    clip: CLIP,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    epoch: int,
    number: int,
) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss = method.loss(clip, images, labels)
    value = distributed.mean(loss.item())
    if not math.isfinite(value):
        raise JobError(
            f"the loss is {value} in epoch {epoch}, step {number}; the state of epoch {epoch - 1} is kept; "
            "try a lower learning rate (--lr) or --dtype fp32"
        )
    loss.backward()
    distributed.average_gradients(method.parameters())
    optimiser.step()
    return value


class Plan:
    """Which images make up each step: a seeded order an epoch, the same for any number of
    processes.

    Args:
        items: labelled training images.
        clip: for the transform and the device.
        recipe: with the batch size.
        config: with the seed.

    Raises:
        RequestError: the processes cannot share a batch evenly.
    """

    def __init__(
        self, items: Sequence[Item], clip: CLIP, recipe: Recipe, config: TrainConfig
    ) -> None:
        self.items, self.clip, self.config = items, clip, config
        self.cache = ImageCache()
        self.batch_size = min(recipe.batch_size, len(items))
        self.steps = len(items) // self.batch_size  # an incomplete last batch is dropped
        if self.batch_size % distributed.processes():
            raise RequestError(
                f"{self.batch_size} images a step cannot be shared by {distributed.processes()} processes; "
                "set --batch-size to a multiple"
            )

    def batches(self, epoch: int) -> list[list[int]]:
        """Positions in ``items`` of every step's images, over all processes."""
        order = list(range(len(self.items)))
        random.Random(f"{self.config.seed}:{epoch}").shuffle(order)
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(self.steps)]

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's images ``[batch, 3, side, side]`` and labels ``[batch]`` of every step."""
        share = self.batch_size // distributed.processes()
        mine = slice(distributed.rank() * share, (distributed.rank() + 1) * share)
        batches = [batch[mine] for batch in self.batches(epoch)]
        tensors = map_ahead(lambda i: self._read(i, epoch), [i for batch in batches for i in batch])
        for batch in batches:
            images = torch.stack([next(tensors) for _ in batch])
            labels = torch.tensor([self.items[i].label for i in batch])
            yield images.to(self.clip.device), labels.to(self.clip.device)

    def _read(self, position: int, epoch: int) -> Tensor:
        image = self.cache.read(self.items[position].path)
        if not self.config.augment:
            return self.clip.preprocess(image)
        # seeded by the image and the epoch, not by when a thread comes to it
        generator = random.Random(f"{self.config.seed}:{epoch}:{position}")
        return self.clip.preprocess.train(image, generator)


def learning_rate(epoch: int, recipe: Recipe) -> float:
    """Of an epoch counted from 1: one epoch of warm-up, then a cosine that the warm-up does not
    shift.

    As Dassl's schedule does (optim/lr_scheduler.py:43): 1e-5, then 0.5 * lr * (1 + cos(pi (e - 2)
    / E)).
    """
    if epoch == 1:
        return recipe.first_lr
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * (epoch - 2) / recipe.epochs))


def build_optimiser(method: Method, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over everything that the method holds."""
    parameters = list(method.parameters())
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    raise RequestError(f"no optimiser {recipe.optimiser!r}; expected sgd")


def _shots(items: Sequence[Item]) -> int:
    """Training images of the largest class."""
    labels = [item.label for item in items]
    return max(labels.count(label) for label in set(labels))


def _check_labels(items: Sequence[Item], method: Method) -> None:
    require(len(items) > 0, "there are no training images; the split is empty")
    classes = len(method.class_names)
    low, high = min(item.label for item in items), max(item.label for item in items)
    require(
        low >= 0 and high < classes,
        f"labels go from {low} to {high} but the method was built for {classes} classes",
    )


def describe(reports: Sequence[EpochReport]) -> dict[str, Any]:
    """What a saved classifier says of its training."""
    if not reports:
        return {"epochs": 0}
    return {"epochs": reports[-1].epochs, "final_loss": reports[-1].loss}
