"""Train any method on the images of one data set."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item, Split, check_items, fingerprint_of
from crossprompt.data.loader import to_device
from crossprompt.errors import JobError
from crossprompt.methods.base import FeatureMethod, Method, Recipe
from crossprompt.methods.features import Examples, Read, features_of, images_of, views_of
from crossprompt.training.batches import BatchSampler
from crossprompt.training.checkpoint import Averaging, Checkpoint
from crossprompt.training.config import TrainConfig, describe_computation, describe_recipe
from crossprompt.training.memory import GB, Recompute, applied, choose_recompute
from crossprompt.training.optimizer import build_optimizer, learning_rate
from crossprompt.utils import distributed
from crossprompt.utils.config import require
from crossprompt.utils.progress import NOTE, EpochReport, StepReport

Batch = TypeVar("Batch")
"""What a step learns from."""


@dataclass(frozen=True)
class Steps(Generic[Batch]):
    """What the loop repeats."""

    batches: Callable[[int], Iterable[Batch]]
    """Those of an epoch, counted from 1."""
    backward: Callable[[Batch], float]
    """Leaves the gradients of a batch in the parameters and says its loss, over all processes."""
    count: int
    """In an epoch."""
    images: int
    """In a step, over all processes."""
    seed: int
    """Of what a method draws in a step."""


@dataclass(frozen=True)
class Loop(Generic[Batch]):
    """A training, from the last good epoch that is kept."""

    steps: Steps[Batch]
    methods: Sequence[nn.Module]
    """Which are trained."""
    clip: CLIP
    """The frozen backbone."""
    recipe: Recipe
    """Whose learning rates they are, and how many epochs."""
    state: Checkpoint
    """Of all that is learned, with its optimizer."""
    on_step: Callable[[StepReport], None] | None = None
    """Called after every step."""
    on_epoch: Callable[[EpochReport], None] | None = None
    """Called after every epoch."""

    def run(self, resume: bool) -> list[EpochReport]:
        """Every epoch, or those that are left.

        Args:
            resume: go on from the state.

        Returns:
            One report per epoch, those before an interruption included.

        Raises:
            RequestError: the state is damaged or of another training.
            JobError: the loss is not finite; the state of the last good epoch is kept.
        """
        state, averaging = self.state, self.state.averaging
        reports = [EpochReport(**line) for line in state.begin(resume)]
        with in_training(self.methods, self.clip.device):
            for epoch in range(len(reports) + 1, self.recipe.epochs + 1):
                reports.append(self._epoch(epoch))
                if averaging is not None:
                    averaging.add(epoch)
                state.keep(reports)
                if self.on_epoch is not None:
                    self.on_epoch(reports[-1])
        return reports

    def _epoch(self, epoch: int) -> EpochReport:
        """Every step of an epoch, counted from 1."""
        steps, recipe = self.steps, self.recipe
        began, losses, first_lr = time.perf_counter(), list[float](), learning_rate(epoch, recipe)
        for number, batch in enumerate(steps.batches(epoch), start=1):
            step, lr = (epoch - 1) * steps.count + number, self._set_learning_rate(epoch, number)
            # for methods with dropout, which draw from the global generator
            torch.manual_seed(steps.seed * 1_000_003 + step)
            losses.append(self._step(batch, epoch, number))
            if self.on_step is not None:
                in_all = steps.count * recipe.epochs
                self.on_step(StepReport(step, in_all, losses[-1], lr, steps.images))
        rate = steps.count * steps.images / (time.perf_counter() - began)
        if not all(bool(x.isfinite().all()) for x in self.state.method.parameters()):
            raise self._diverged(f"a learned tensor is not finite after epoch {epoch}", epoch)
        loss = sum(losses) / len(losses)
        return EpochReport(epoch, recipe.epochs, loss, first_lr, round(rate, 2))

    def _set_learning_rate(self, epoch: int, number: int) -> float:
        lr = learning_rate(epoch, self.recipe, (number - 1) / self.steps.count)
        for group in self.state.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _step(self, batch: Batch, epoch: int, number: int) -> float:
        self.state.optimizer.zero_grad(set_to_none=True)
        loss = self.steps.backward(batch)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss} in epoch {epoch}, step {number}", epoch)
        self.state.optimizer.step()
        return loss

    def _diverged(self, what: str, epoch: int) -> JobError:
        keeps = self.state.folder is not None
        kept = f"; the state of epoch {epoch - 1} is kept" if keeps and epoch > 1 else ""
        precise = "" if self.clip.dtype == torch.float32 else " or --dtype fp32"
        afresh = ", with --overwrite" if keeps else ""
        return JobError(f"{what}{kept}; try a lower learning rate (--lr){precise}{afresh}")


@contextmanager
def in_training(methods: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Methods in training mode, and the global generators as they were when it is over."""
    for method in methods:
        method.train()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for method in methods:
            method.eval()


Loss = Callable[[CLIP, Tensor, Tensor], Tensor]
"""Of the backbone, what is shown (images, or their features) and labels."""


def train(
    method: Method,
    clip: CLIP,
    train: Sequence[Item],
    config: TrainConfig | None = None,
    *,
    val: Sequence[Item] = (),
    folder: str | PathLike[str] | None = None,
    resume: bool = False,
    say: Callable[[str], None] | None = None,
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
        say: told in a sentence if states are computed twice to fit into the memory.
        on_step: called after every step.
        on_epoch: called after every epoch.

    Returns:
        One report per epoch, those before an interruption included; none for a method without
        steps.

    Raises:
        RequestError: no labelled images, a label without a class, a setting that would be ignored,
            a batch size that the processes cannot share, a memory limit that nothing is within, or
            a state of another training.
        JobError: the loss is not finite; the state of the last good epoch is kept.
    """
    for items in (train, val):
        check_items(items, "train on")
    config = config or TrainConfig()
    _check_labels(train, method)
    recipe = config.recipe_of(type(method), count_shots(train)).for_images(len(train))
    examples = Examples(clip, train, val, config.seed)
    method.prepare(clip, examples)
    reports: list[EpochReport] = []
    if recipe.epochs:
        shown = _choose_shown(method, clip, train, recipe, config.seed)
        plan = BatchSampler(
            [item.label for item in train], recipe.batch_size, config.seed, shown.read
        )
        saving = _choose_saving(method, clip, shown.loss, plan, config.memory_limit, say)
        optimizer = build_optimizer(method, recipe)
        circumstances = _circumstances(method, clip, train, saving)
        settings = {**describe_recipe(recipe, config), **circumstances}
        averaging = Averaging(method, recipe.epochs)
        place = None if folder is None else Path(folder)
        state = Checkpoint(place, method, optimizer, settings, averaging)
        steps = _steps(clip, shown.backward, plan)
        loop = Loop(steps, [method], clip, recipe, state, on_step, on_epoch)
        with applied(clip, saving):
            reports = loop.run(resume)
        averaging.finish()
    with torch.no_grad():
        method.finish(clip, examples)
    return reports


@dataclass(frozen=True)
class _Shown:
    """What a method is shown of an image, pixels or features, and how it takes that."""

    loss: Loss
    backward: Loss
    read: Read


def _choose_shown(
    method: Method, clip: CLIP, items: Sequence[Item], recipe: Recipe, seed: int
) -> _Shown:
    """Features, where the image tower need not see an image more than once a view."""
    views = min(recipe.views, recipe.epochs)  # more would never be shown
    if not isinstance(method, FeatureMethod) or (recipe.augment and not views):
        smallest_crop = recipe.smallest_crop if recipe.augment else None
        return _Shown(method.loss, method.backward, images_of(items, clip, seed, smallest_crop))
    read = (
        views_of(items, clip, seed, recipe.smallest_crop, views)
        if recipe.augment
        else features_of(items, clip)
    )
    return _Shown(method.loss_on_features, method.backward_on_features, read)


def _steps(clip: CLIP, backward: Loss, plan: BatchSampler) -> Steps[tuple[Tensor, Tensor]]:
    def step(batch: tuple[Tensor, Tensor]) -> float:
        shown, labels = (to_device(x, clip.device) for x in batch)
        return distributed.mean(backward(clip, shown, labels).item())

    return Steps(plan.epoch, step, plan.steps, plan.batch_size, plan.seed)


def count_shots(items: Sequence[Item]) -> int:
    """Training images of the largest class."""
    return max(Counter(item.label for item in items).values())


def _choose_saving(
    method: Method,
    clip: CLIP,
    loss: Loss,
    plan: BatchSampler,
    memory_limit: float | None,
    say: Callable[[str], None] | None,
) -> Recompute:
    """What of the first step is computed twice, so that it stays within the memory."""
    shown, labels = (to_device(x, clip.device) for x in next(plan.epoch(1)))
    limit = None if memory_limit is None else memory_limit * GB
    with in_training([method], clip.device):
        saving, peak = choose_recompute(lambda: loss(clip, shown, labels), method, clip, limit)
    require(
        limit is None or peak <= limit,
        f"a step needs about {peak / GB:.2g} GB even where all that can be is computed twice, but "
        f"memory_limit is {memory_limit}; raise it, or lower batch_size",
    )
    if say is not None and saving != Recompute():
        say(f"{NOTE}to take about {peak / GB:.2g} GB, {saving.in_words()}")
    return saving


def _circumstances(
    method: Method, clip: CLIP, items: Sequence[Item], saving: Recompute
) -> dict[str, Any]:
    """What a bit-identical result depends on beside the recipe."""
    return {
        "method": method.name,
        "config": method.config.to_json(),
        "images": fingerprint_of(method.class_names, {"train": Split(tuple(items))}, None),
        **describe_computation(clip),
        "saving": asdict(saving),
    }


def _check_labels(items: Sequence[Item], method: Method) -> None:
    require(len(items) > 0, "there are no training images; the split is empty")
    classes = len(method.class_names)
    low, high = min(item.label for item in items), max(item.label for item in items)
    require(
        low >= 0 and high < classes,
        f"labels go from {low} to {high} but the method was built for {classes} classes; build it "
        "with the class_names of these images' data set",
    )
