"""A classifier restricted to some of its classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import Frozen, ScoresFeatures
from crossprompt.utils.shapes import ImageFeatures, Images, Logits


class ClassSubset(Frozen):
    """Some columns of another frozen form's scores.

    Args:
        frozen: scores all classes.
        columns: the classes, in the new order.
    """

    form = "some-classes"
    columns: Tensor

    def __init__(self, frozen: Frozen, columns: Sequence[int]) -> None:
        super().__init__()
        self.frozen = frozen
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    @property
    def plain(self) -> bool:
        """True if the other form scores unmodified CLIP image features."""
        return isinstance(self.frozen, ScoresFeatures) and self.frozen.plain

    def forward(self, clip: CLIP, images: Images) -> Logits:
        return self.frozen(clip, images)[:, self.columns]

    def score(self, features: ImageFeatures) -> Logits:
        assert isinstance(self.frozen, ScoresFeatures)
        return self.frozen.score(features)[:, self.columns]
