"""How to train: a method's recipe, with what the user changes of it."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from crossprompt import distributed
from crossprompt.clip.model import CLIP
from crossprompt.methods.base import FeatureMethod, Method, Recipe
from crossprompt.settings import Settings, require

SEEDS = 2**32
"""Seeds there are."""
OF_AUGMENTATION = ("smallest_crop", "views")
"""Settings that mean nothing without augmentation."""
OF_RECIPE = ("epochs", "batch_size", "lr", "augment", *OF_AUGMENTATION)
"""Settings of a recipe that a user may change."""


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How to train; what is left out is the method's published recipe."""

    epochs: int | None = None
    """Passes over the training images; by default the method's recipe."""
    batch_size: int | None = None
    """Images in a step, over all processes; by default the method's recipe."""
    lr: float | None = None
    """Highest learning rate; by default the method's recipe."""
    seed: int = 1
    """Of the order of the images and their augmentation."""
    augment: bool | None = None
    """Random crops and flips of the training images, or the test transform; by default the method's
    recipe."""
    smallest_crop: float | None = None
    """Smallest part of a training image's area that a random crop keeps: for things that fill the
    image, 0.5 or so; by default the method's recipe."""
    views: int | None = None
    """Crops of each training image that are drawn and encoded once and shown in turn, for methods
    that leave the image tower as it is; 0 draws another in every epoch. By default the method's
    recipe."""
    memory_limit: float | None = None
    """GB that a training step may take, weights and libraries included; what does not fit is
    computed twice in place of being kept. By default all that the device has."""

    def __post_init__(self) -> None:
        self.settle_types("train")
        require(0 <= self.seed < SEEDS, f"train: seed is {self.seed}, expected 0 to {SEEDS - 1}")
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"train: {name} is {value}, expected 1 or more")
        fine = self.lr is None or (math.isfinite(self.lr) and self.lr > 0)
        require(fine, f"train: lr is {self.lr}, expected a number above 0")
        limit = self.memory_limit
        fine = limit is None or (math.isfinite(limit) and limit > 0)
        require(fine, f"train: memory_limit is {limit}, expected a number of GB above 0")
        crop, views = self.smallest_crop, self.views
        fine = crop is None or 0 < crop <= 1
        require(fine, f"train: smallest_crop is {crop}, expected more than 0, at most 1")
        require(views is None or views >= 0, f"train: views is {views}, expected 0 or more")
        ignored = [name for name in OF_AUGMENTATION if getattr(self, name) is not None]
        require(
            self.augment is not False or not ignored,
            f"train: {' and '.join(ignored)} is set but there is no augmentation, so it would be "
            "ignored; leave one of them out",
        )

    def recipe_of(self, method: type[Method], shots: int) -> Recipe:
        """The method's recipe with what was set here.

        Args:
            method: what is trained.
            shots: training images of a class.

        Raises:
            RequestError: the method takes no steps, so that a setting would be ignored.
        """
        recipe = method.recipe(shots)
        chosen: dict[str, Any] = {name: getattr(self, name) for name in OF_RECIPE}
        chosen = {name: value for name, value in chosen.items() if value is not None}
        ignored = [*chosen, *(["memory_limit"] if self.memory_limit is not None else [])]
        require(
            recipe.trains or not ignored,
            f"{method.name} is not trained in steps, so {', '.join(ignored)} would be ignored; "
            "leave it out",
        )
        require(
            issubclass(method, FeatureMethod) or self.views is None,
            f"{method.name} changes the image tower, so views would be ignored; leave it out",
        )
        if "epochs" in chosen:
            chosen["steps"] = 0
        return replace(recipe, **chosen)


def describe_recipe(recipe: Recipe, config: TrainConfig) -> dict[str, Any]:
    """Every setting of a training as plain values; only the seed where there are no steps."""
    settings = asdict(recipe) if recipe.epochs else {"epochs": 0}
    return {**settings, "seed": config.seed}


def describe_computation(clip: CLIP) -> dict[str, Any]:
    """What the bits of a result depend on beside every setting: on which weights, and how.

    Args:
        clip: the backbone.
    """
    return {
        "weights": clip.weights_hash,
        "dtype": str(clip.dtype).removeprefix("torch."),
        "device": clip.device.type,
        "processes": distributed.processes(),
    }
