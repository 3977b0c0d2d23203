"""Configs: what a user asks for, and what it resolves to.

``TrainConfig``, the settings of a training; ``FitConfig``, a whole run with its data, backbone and
method; ``Run``, all of that loaded, with the recipe that it is trained by.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch

from crossprompt.classifier.classifier import Classifier, Inference, freeze
from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset, Item
from crossprompt.data.registry import OWN, load_dataset
from crossprompt.methods import find_method
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Read, features_of, images_of, views_of
from crossprompt.training.batches import Batch, BatchSampler, share_of
from crossprompt.training.checkpoint import build_record
from crossprompt.utils.config import Settings, require
from crossprompt.utils.device import choose_device, choose_dtype, to_device

SEEDS = 2**32
OF_AUGMENTATION = ("smallest_crop", "views")
OF_RECIPE = ("epochs", "batch_size", "lr", "augment", *OF_AUGMENTATION)
"""Settings of a recipe that a user may change."""

LIMITS: dict[str, tuple[Callable[[float], bool], str]] = {
    "epochs": (lambda x: x >= 1, "1 or more"),
    "batch_size": (lambda x: x >= 1, "1 or more"),
    "lr": (lambda x: 0 < x < math.inf, "a number above 0"),
    "seed": (lambda x: 0 <= x < SEEDS, f"0 to {SEEDS - 1}"),
    "memory_limit": (lambda x: 0 < x < math.inf, "a number of GB above 0"),
    "smallest_crop": (lambda x: 0 < x <= 1, "more than 0, at most 1"),
    "views": (lambda x: x >= 0, "0 or more"),
}


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of a training; by default the method's published recipe."""

    epochs: int | None = None
    """Passes over the training images; by default the method's recipe."""
    batch_size: int | None = None
    """Images in a step, over all processes; by default the method's recipe."""
    lr: float | None = None
    """Highest learning rate; by default the method's recipe."""
    seed: int = 1
    """Seed of the order of the images and of their augmentation."""
    augment: bool | None = None
    """Random crops and flips of the training images, or the test transform; by default the method's
    recipe."""
    smallest_crop: float | None = None
    """Smallest part of a training image's area that a random crop keeps: for things that fill the
    image, 0.5 or so; by default the method's recipe."""
    views: int | None = None
    """Crops of each training image that are drawn and encoded once and repeated, for methods that
    leave the image tower as it is; 0 draws a new crop in every epoch. By default the method's
    recipe."""
    memory_limit: float | None = None
    """GB that a training step may take, weights and libraries included; activations that do not fit
    are recomputed. By default all memory of the device."""

    def __post_init__(self) -> None:
        self.convert_fields("train")
        for name, (fits, expected) in LIMITS.items():
            value = getattr(self, name)
            require(value is None or fits(value), f"train: {name} is {value}, expected {expected}")
        ignored = [name for name in OF_AUGMENTATION if getattr(self, name) is not None]
        require(
            self.augment is not False or not ignored,
            f"train: {' and '.join(ignored)} is set but there is no augmentation, so it would be "
            "ignored; leave one of them out",
        )

    def recipe_of(self, method: type[Method], shots: int) -> Recipe:
        """The method's recipe with the settings of this config.

        Raises:
            RequestError: a setting would be ignored.
        """
        recipe = method.recipe(shots)
        settings = ((name, getattr(self, name)) for name in OF_RECIPE)
        chosen = {name: value for name, value in settings if value is not None}
        ignored = [*chosen, *["memory_limit"] * (self.memory_limit is not None)]
        require(
            recipe.trains or not ignored,
            f"{method.name} is not trained in steps, so {', '.join(ignored)} would be ignored; "
            "leave it out",
        )
        require(
            method.inputs == "features" or self.views is None,
            f"{method.name} changes the image tower, so views would be ignored; leave it out",
        )
        if "epochs" in chosen:
            chosen["steps"] = 0
        return replace(recipe, **chosen)

    def recipe_for(self, method: type[Method], images: Sequence[Item]) -> Recipe:
        """The recipe for given training images, its length in epochs.

        Raises:
            RequestError: there is no image, a setting would be ignored, or the processes cannot
                share a batch evenly.
        """
        require(len(images) > 0, "there are no training images; the split is empty")
        shots = max(Counter(item.label for item in images).values())
        recipe = self.recipe_of(method, shots).for_images(len(images))
        if recipe.epochs:
            share_of(min(recipe.batch_size, len(images)))
        return recipe


@dataclass(frozen=True)
class FitConfig:
    """Config of a whole run: everything that the result depends on."""

    data: str
    """Name of a data set, a folder or a CSV file."""
    method: str = "dcp"
    backbone: str = "tiny"
    """As ``load_clip`` takes it."""
    shots: int | None = 16
    """Training images per class; None for all."""
    seed: int = 1
    """Seed of the few-shot draw, the start values and the order of the images."""
    root: str | None = None
    """Folder that holds the data set."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training, see ``TrainConfig``."""
    class_names: str | None = None
    """File with class names."""
    skip_bad_images: bool = False
    device: str = "auto"
    dtype: str = "auto"
    """Dtype of the frozen towers."""

    def train_config(self) -> TrainConfig:
        """The config of the training, with the run's seed."""
        return TrainConfig.of({"seed": self.seed, **self.training}, "train")

    def check(self) -> None:
        """Validate names and settings before any work.

        Raises:
            RequestError: a name or a setting is unknown, impossible or would be ignored.
        """
        method = find_method(self.method)
        method.Config.of(self.options, self.method)
        self.train_config().recipe_of(method, self.shots or 1)

    def load_data(self) -> Dataset:
        """Load the whole data set; no image is read yet."""
        names = {} if self.class_names is None else {"class_names": self.class_names}
        return load_dataset(self.data, root=self.root, **names)

    def load_backbone(self, device: torch.device | None = None) -> CLIP:
        """Load the frozen CLIP, to ``device`` if that is already chosen."""
        device = device or choose_device(self.device)
        return load_clip(self.backbone, device=device, dtype=choose_dtype(self.dtype, device))

    def build_method(self, clip: CLIP, data: Dataset) -> Method:
        """Build the method; its ``template``, if it has one, defaults to the data's."""
        method = find_method(self.method)
        settings = method.Config.of({}, self.method).to_json()
        options = {"template": (data.template,)} if "template" in settings else {}
        return method.build(clip, data.class_names, {**options, **self.options}, self.seed)

    def build_run(self, clip: CLIP, whole: Dataset, few: Dataset) -> "Run":
        """Build the method and its recipe for the few-shot images of a whole data set.

        Raises:
            RequestError: a setting does not go with the images, the backbone or the processes.
        """
        method, training = self.build_method(clip, few), self.train_config()
        recipe = training.recipe_for(type(method), few.train)
        data = {"fingerprint": whole.fingerprint, "used": few.fingerprint}
        record = build_record(method, clip, recipe, self.seed, shots=self.shots, data=data)
        return Run(method, clip, few, training, recipe, record)

    def default_output(self) -> Path:
        """``runs/DATA-METHOD``."""
        # where a data set has a name, the root only holds it
        place = Path(self.root if self.root is not None and self.data in OWN else self.data)
        name = place.stem if place.suffix.lower() == ".csv" else place.resolve().name
        return Path("runs") / f"{name.replace(':', '-') or 'data'}-{self.method}"


@dataclass(frozen=True)
class Run:
    """A resolved training: method, backbone, data, recipe, and the record of all of it."""

    method: Method
    clip: CLIP
    data: Dataset
    """Few-shot training and validation images, and the test sets where these are known."""
    config: TrainConfig
    recipe: Recipe
    """Settings of the optimizer, the batches and the augmentation, the length in epochs."""
    record: dict[str, Any] = field(repr=False)
    """See ``build_record``."""
    about_data: dict[str, Any] = field(default_factory=dict, repr=False)
    """See ``describe_data``; saved with the classifier."""

    def reader(self) -> Read:
        """Reader of the method's inputs: features, where no image is encoded again for a crop."""
        recipe, seed, train = self.recipe, self.config.seed, self.data.train
        views = min(recipe.views, recipe.epochs)  # more would never be used
        if self.method.inputs == "features" and not recipe.augment:
            return features_of(train, self.clip)
        if self.method.inputs == "features" and views:
            return views_of(train, self.clip, seed, recipe.smallest_crop, views)
        smallest_crop = recipe.smallest_crop if recipe.augment else None
        return images_of(train, self.clip, seed, smallest_crop)

    def sampler(self) -> BatchSampler:
        """Sampler of the training batches, as inputs of the method on its device."""
        labels, size = self.data.train.labels, self.recipe.batch_size
        return BatchSampler(labels, size, self.config.seed, self.reader(), self.to_inputs)

    def to_inputs(self, batch: Batch) -> Batch:
        """Move a batch to the device, and encode its images for a method that takes features."""
        inputs, labels = (to_device(x, self.clip.device) for x in batch)
        are_images = inputs.ndim == 4
        return self.method.encode_inputs(self.clip, inputs) if are_images else inputs, labels

    def freeze(
        self,
        information: dict[str, Any] | None = None,
        inference: str = "calibrated",
        method: Method | None = None,
    ) -> Classifier:
        """Freeze the trained method, or a copy of it for other classes, on the training images."""
        return freeze(
            method or self.method,
            self.clip,
            self.data.train,
            val=self.data.val,
            inference=cast(Inference, inference),
            seed=self.config.seed,
            information=information,
        )
