"""Train any method on the images of one data set."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossprompt import distributed
from crossprompt.averaging import Averaging
from crossprompt.clip.model import CLIP
from crossprompt.data.items import Item
from crossprompt.data.loading import to_device
from crossprompt.data.split import Split, check_items, fingerprint_of
from crossprompt.examples import Examples
from crossprompt.loop import Loop, Steps, in_training
from crossprompt.memory import GB, Saving, applied, choose_saving
from crossprompt.methods.base import FeatureMethod, Method, Recipe
from crossprompt.optimiser import build_optimiser
from crossprompt.plan import Plan, Read, features_of, images_of, views_of
from crossprompt.progress import NOTE, EpochReport, StepReport
from crossprompt.settings import require
from crossprompt.state import TrainingState
from crossprompt.train_config import TrainConfig, describe_computation, describe_recipe

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
        plan = Plan([item.label for item in train], recipe.batch_size, config.seed, shown.read)
        saving = _choose_saving(method, clip, shown.loss, plan, config.memory_limit, say)
        optimiser = build_optimiser(method, recipe)
        circumstances = _circumstances(method, clip, train, saving)
        settings = {**describe_recipe(recipe, config), **circumstances}
        averaging = Averaging(method, recipe.epochs)
        place = None if folder is None else Path(folder)
        state = TrainingState(place, method, optimiser, settings, averaging)
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


def _steps(clip: CLIP, backward: Loss, plan: Plan) -> Steps[tuple[Tensor, Tensor]]:
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
    plan: Plan,
    memory_limit: float | None,
    say: Callable[[str], None] | None,
) -> Saving:
    """What of the first step is computed twice, so that it stays within the memory."""
    shown, labels = (to_device(x, clip.device) for x in next(plan.epoch(1)))
    limit = None if memory_limit is None else memory_limit * GB
    with in_training([method], clip.device):
        saving, peak = choose_saving(lambda: loss(clip, shown, labels), method, clip, limit)
    require(
        limit is None or peak <= limit,
        f"a step needs about {peak / GB:.2g} GB even where all that can be is computed twice, but "
        f"memory_limit is {memory_limit}; raise it, or lower batch_size",
    )
    if say is not None and saving != Saving():
        say(f"{NOTE}to take about {peak / GB:.2g} GB, {saving.in_words()}")
    return saving


def _circumstances(
    method: Method, clip: CLIP, items: Sequence[Item], saving: Saving
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
