"""Run: a training with everything resolved, handed on from the request to the frozen classifier."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor

from crossprompt.classifier.classifier import Classifier, Inference, freeze
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset, Item
from crossprompt.data.loader import to_device
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Read, features_of, images_of, views_of
from crossprompt.training.config import TrainConfig

Batch = tuple[Tensor, Tensor]
"""Inputs ``[batch, …]`` and labels ``[batch]``."""


@dataclass(frozen=True)
class Run:
    """A resolved training: method, backbone, images, recipe, and the record of all of it."""

    method: Method
    clip: CLIP
    train: Sequence[Item]
    val: Sequence[Item]
    config: TrainConfig
    recipe: Recipe
    """With its length in epochs; no other recipe is derived."""
    record: dict[str, Any] = field(repr=False)
    """See ``build_record``."""
    data: Dataset | None = None
    """Few-shot data with its test sets, where these are known."""
    about_data: dict[str, Any] = field(default_factory=dict, repr=False)
    """See ``describe_data``; saved with the classifier."""

    def reader(self) -> Read:
        """Reader of the method's inputs: features, where no image is encoded again for a crop."""
        recipe, seed = self.recipe, self.config.seed
        views = min(recipe.views, recipe.epochs)  # more would never be used
        if self.method.inputs == "features" and not recipe.augment:
            return features_of(self.train, self.clip)
        if self.method.inputs == "features" and views:
            return views_of(self.train, self.clip, seed, recipe.smallest_crop, views)
        smallest_crop = recipe.smallest_crop if recipe.augment else None
        return images_of(self.train, self.clip, seed, smallest_crop)

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
            self.train,
            val=self.val,
            inference=cast(Inference, inference),
            seed=self.config.seed,
            information=information,
        )
