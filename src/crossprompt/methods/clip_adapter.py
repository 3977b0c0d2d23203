"""CLIP-Adapter: a bottleneck network rewrites a fifth of every image feature.

Gao et al., IJCV 2024, https://arxiv.org/abs/2110.04544. *Reconstruction* of the recipe: the public
code has the model but no settings of its training. Deviations and choices:

* The batch of 32 is the paper's. For optimizer, learning rate and schedule the public code calls
  Dassl's builders; these are CoOp's settings of them, with which its trainer is shared: SGD, 0.002,
  one epoch of warm-up. Its 200 epochs are what Tip-Adapter's paper reports of it (table 1).
* The ratio is 0.2, as in the code; the paper chooses one for each data set.
* The crops of ten epochs are drawn and encoded once and shown in turn (``--views 0``: anew).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import FeatureMethod, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Adapter, Frozen
from crossprompt.methods.heads.adapter import adapt, reduced_width
from crossprompt.methods.prompts import check_at_least
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImageFeatures, Logits


class CLIPAdapter(FeatureMethod):
    """A bottleneck network on the image feature, blended with the feature itself."""

    name = "clip_adapter"
    summary = "a bottleneck that rewrites a part of the image feature"
    paper = "Gao et al., IJCV 2024, arXiv 2110.04544"
    fidelity = "reconstruction"
    difference = "the public code has the model, but no settings of its training"

    @dataclass(frozen=True)
    class Config(FeatureMethod.Config):
        ratio: float = 0.2
        """Part of the feature that is rewritten, 0 to 1."""
        reduction: int = 4
        """Width of the feature divided by that of the bottleneck."""
        template: tuple[str, ...] = PHOTO
        """One or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            require(0 <= self.ratio <= 1, f"clip_adapter: ratio is {self.ratio}, expected 0 to 1")
            check_at_least("clip_adapter", self, reduction=1)
            check_templates(self.template, "clip_adapter")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: CLIPAdapter.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)
        embed = clip.config.embed
        hidden = reduced_width("clip_adapter", embed, config.reduction)
        self.down = nn.Linear(embed, hidden, bias=False)
        self.up = nn.Linear(hidden, embed, bias=False)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as CoOp's."""
        return Recipe(epochs=200, batch_size=32, lr=0.002, views=10)

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        adapted = adapt(features.float(), self.down.weight, self.up.weight, self.config.ratio)
        return clip.logits(adapted, self.texts.features(clip))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        return Adapter(
            class_weights=normalize(self.texts.features(clip), dim=-1),
            scale=clip.logit_scale.float().exp(),
            down=self.down.weight,
            up=self.up.weight,
            ratio=torch.tensor(self.config.ratio),
        )
