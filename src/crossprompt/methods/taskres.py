"""TaskRes: a trainable residual is added to every class's text feature.

Yu et al., CVPR 2023, https://arxiv.org/abs/2211.10277. Deviations from the authors' public code:

* The class texts are those of the data set's template. With several templates they are zero-shot
  CLIP's ensemble, at the mean length of its parts; the authors take the mean of the features as
  they are.
* One learning rate and scale for all data sets, the authors' for most; theirs are 2e-4 for ImageNet
  and scale 1 for Flowers102 (``--lr``, ``--scale``).
* The crops of ten epochs are drawn and encoded once and shown in turn (``--views 0``: anew).
* Only the regular base is offered, not one tuned before (their "enhanced base").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Recipe, TextMethod
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures


class TaskRes(TextMethod):
    """Class text features plus a trainable residual."""

    name = "taskres"
    summary = "a residual on every class's text feature"
    paper = "Yu et al., CVPR 2023, arXiv 2211.10277"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(TextMethod.Config):
        scale: float = 0.5
        """Factor of the residual."""
        template: tuple[str, ...] = PHOTO
        """One or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            require(self.scale > 0, f"taskres: scale is {self.scale}, expected more than 0")
            check_templates(self.template, "taskres")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: TaskRes.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)
        self.residual = nn.Parameter(torch.zeros(len(class_names), clip.config.embed))

    @classmethod
    def class_specific_parameters(cls, config: TextMethod.Config) -> str | None:
        return "a residual for every class"

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """Adam as published, longer with more shots."""
        epochs = 100 if shots <= 4 else 200
        return Recipe(epochs=epochs, batch_size=256, lr=0.002, optimizer="adam", views=10)

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return self.texts.features(clip) + self.config.scale * self.residual
