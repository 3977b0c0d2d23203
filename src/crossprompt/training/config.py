"""What to fit on what: a job, and the steps that turn its words into data, backbone and method."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset
from crossprompt.data.registry import OWN, load_dataset
from crossprompt.methods import build_from, find_method
from crossprompt.methods.base import FeatureMethod, Method, Recipe
from crossprompt.utils import distributed
from crossprompt.utils.config import Settings, require
from crossprompt.utils.device import choose_device, choose_dtype

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
        self.convert_fields("train")
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
    if not recipe.epochs:
        return {"epochs": 0, "seed": config.seed}
    # files have the key "optimiser" since format 1
    settings = {("optimiser" if k == "optimizer" else k): x for k, x in asdict(recipe).items()}
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


@dataclass(frozen=True)
class FitConfig:
    """What to fit on what; everything that the result depends on."""

    data: str
    """Name of a data set, a folder or a CSV file."""
    method: str = "dcp"
    """One of ``METHODS``."""
    backbone: str = "tiny"
    """What ``load_clip`` takes."""
    shots: int | None = 16
    """Training images per class; None uses all."""
    seed: int = 1
    """Of the few-shot draw, the start values and the order of the images."""
    root: str | None = None
    """Folder that holds the data set."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training, see ``TrainConfig``."""
    class_names: str | None = None
    """File with class names."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read."""
    device: str = "auto"
    """Where to compute."""
    dtype: str = "auto"
    """What the frozen towers compute in."""

    def train_config(self) -> TrainConfig:
        """The settings of the training, with the job's seed."""
        return TrainConfig.of({"seed": self.seed, **self.training}, "train")

    def check(self) -> None:
        """Find what is wrong with the words alone, before any work.

        Raises:
            RequestError: a name or a setting is unknown, impossible or would be ignored.
        """
        method = find_method(self.method)
        method.Config.of(self.options, self.method)
        self.train_config().recipe_of(method, self.shots or 1)

    def load_data(self) -> Dataset:
        """The whole data set; nothing is drawn or read yet."""
        names = {} if self.class_names is None else {"class_names": self.class_names}
        return load_dataset(self.data, root=self.root, **names)

    def load_backbone(self, device: torch.device | None = None) -> CLIP:
        """The frozen CLIP, on ``device`` if that is already decided."""
        device = device or choose_device(self.device)
        return load_clip(self.backbone, device=device, dtype=choose_dtype(self.dtype, device))

    def build_method(self, clip: CLIP, data: Dataset) -> Method:
        """The method; its ``template``, if it has one, is the data's unless the user sets it."""
        settings = find_method(self.method).Config.of({}, self.method).to_json()
        options = {"template": (data.template,)} if "template" in settings else {}
        options |= self.options
        return build_from(self.method, clip, data.class_names, options, self.seed)

    def default_output(self) -> Path:
        """``runs/DATA-METHOD``."""
        # where a data set has a name, the root only holds it
        place = Path(self.root if self.root is not None and self.data in OWN else self.data)
        name = place.stem if place.suffix.lower() == ".csv" else place.resolve().name
        return Path("runs") / f"{name.replace(':', '-') or 'data'}-{self.method}"
