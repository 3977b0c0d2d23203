"""MmAP: the prompts of both towers are Kronecker products of one source prompt per block.

Xin et al., AAAI 2024, https://arxiv.org/abs/2312.08636. *Reconstruction*: there is no public code,
and a result is no reproduction. Our choices:

* A source prompt is as wide as the greatest common divisor of the towers' widths, so that both
  prompts are whole multiples of it. Its factors, one row for each tower, are the same at all depths
  and start as ones.
* Deep prompts in the first 9 blocks, 4 tokens, drawn from N(0, 0.02^2); the class name stands at
  the end.
* The recipe: SGD as CoOp's, learning rate 0.0035, batch 4, 20 epochs.
* Several tasks, trained together in groups: a task's prompt is that of its group followed by its
  own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import PromptMethod, Recipe
from crossprompt.utils.shapes import ClassFeatures, ImagePrompt

TextPrompts = Float[Tensor, "depth length text_width"]
ImagePrompts = Float[Tensor, "depth length image_width"]


class MmAP(PromptMethod):
    """Multi-modal alignment prompts: one source for both towers."""

    name = "mmap"
    summary = "one source prompt for both towers; trains on several data sets together"
    paper = "Xin et al., AAAI 2024, arXiv 2312.08636"
    fidelity = "reconstruction"
    learns_together = True
    difference = "there is no public code: the recipe and how prompts start are our own"

    @dataclass(frozen=True)
    class Config(PromptMethod.Config):
        length: int = 4
        """Prompt tokens on each side."""
        depth: int = 9
        """Number of blocks, counted from block 0, that have prompts."""
        group_length: int = 0
        """Further prompt tokens in front, shared by the tasks of a group; with several data sets as
        many as the length, unless set."""

        def __post_init__(self) -> None:
            prompts.check_at_least("mmap", self, length=1, depth=1, group_length=0)

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: MmAP.Config = config
        depth = prompts.limit_depth("mmap", clip, config.depth, type(config).depth)
        self.names = prompts.tokenize_names(clip, class_names, config.group_length + config.length)
        self.task = PromptSource(clip, depth, config.length)
        self.group = PromptSource(clip, depth, config.group_length) if config.group_length else None

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as CoOp's."""
        return Recipe(epochs=20, batch_size=4, lr=0.0035)

    @property
    def sources(self) -> list["PromptSource"]:
        """The source of the group, if there is one, then that of the task."""
        return [self.task] if self.group is None else [self.group, self.task]

    def prompts_by_block(self) -> dict[int, ImagePrompt]:
        image = torch.cat([source.for_images() for source in self.sources], dim=1)
        return dict(enumerate(image))

    def text_prompts(self) -> dict[int, prompts.WordPrompt]:
        """Prompt before each block of the text tower."""
        return dict(enumerate(torch.cat([source.for_texts() for source in self.sources], dim=1)))

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return prompts.encode_classes(clip, self.names, self.text_prompts())


class PromptSource(nn.Module):
    """A source prompt for every depth, with the factors that make it a prompt of either tower."""

    def __init__(self, clip: CLIP, depth: int, length: int) -> None:
        super().__init__()
        image_width, text_width = clip.config.image.width, clip.config.text.width
        width = gcd(image_width, text_width)
        self.prompts = prompts.draw(depth, length, width)
        self.image_factors = nn.Parameter(torch.ones(1, image_width // width))
        self.text_factors = nn.Parameter(torch.ones(1, text_width // width))

    def for_images(self) -> ImagePrompts:
        """Image prompts ``[depth, length, image_width]``."""
        return torch.kron(self.image_factors, self.prompts)

    def for_texts(self) -> TextPrompts:
        """Text prompts ``[depth, length, text_width]``."""
        return torch.kron(self.text_factors, self.prompts)
