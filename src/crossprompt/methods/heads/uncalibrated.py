"""Inference as it was published: prompts from the test images themselves. For study, never saved.

As released, DCP averages its image prompts over the test batch, so that the answer for an image
depends on which images happen to share its batch.
"""

import torch

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Method
from crossprompt.methods.heads import Frozen
from crossprompt.utils.shapes import Images, Logits


class PerBatch(Frozen):
    """The method as it stands: an image is scored together with its batch.

    Args:
        method: trained.
    """

    form = "batch"

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score a batch by its own prompts."""
        logits: Logits = self.method(clip, images)
        return logits


class PerImage(Frozen):
    """Every image its own batch: slow, but without neighbors.

    Args:
        method: trained.
    """

    form = "per-image"

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score each image by its own prompts."""
        return torch.cat([self.method(clip, image[None]) for image in images])
