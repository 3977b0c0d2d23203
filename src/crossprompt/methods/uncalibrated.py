"""Batch-dependent inference as in the authors' code, for experiments only; it cannot be saved.

As released, DCP averages its image prompts over the test batch, so that the prediction for an image
depends on the other images in its batch.
"""

import torch

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Method
from crossprompt.methods.heads import Frozen
from crossprompt.utils.shapes import Images, Logits


class PerBatch(Frozen):
    """Scores an image with the prompts of its batch.

    Args:
        method: trained.
    """

    form = "batch"

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, clip: CLIP, images: Images) -> Logits:
        logits: Logits = self.method(clip, images)
        return logits


class PerImage(PerBatch):
    """Scores every image as its own batch: slow, but independent of other images."""

    form = "per-image"

    def forward(self, clip: CLIP, images: Images) -> Logits:
        return torch.cat([self.method(clip, image[None]) for image in images])
