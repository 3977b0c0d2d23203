"""MmAP: the prompts of both towers are Kronecker products of one source prompt at every depth.

Xin et al., AAAI 2024, https://arxiv.org/abs/2312.08636. *Reconstruction*: there is no public code,
and a result is no reproduction. Our choices:

* A source prompt is as wide as the greatest common divisor of the towers' widths, so that both
  prompts are whole multiples of it. The rows that stretch it, one for each tower, are the same at
  all depths and start as ones.
* Deep prompts in the first 9 blocks, 4 tokens, drawn from N(0, 0.02^2); the class name stands at
  the end.
* The recipe: SGD as CoOp's, learning rate 0.0035, batch 4, 20 epochs.
* Several tasks: see ``crossprompt.training.multitask``. A task's prompt is then that of its group,
  which the group's tasks train together, followed by its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.methods.prompted import encode_prompted_images, encode_prompted_texts
from crossprompt.methods.prompts import depth_within, random_prompt
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImagePrompt, Images, Logits, TextPrompt

TextPrompts = Float[Tensor, "depth length text_width"]
ImagePrompts = Float[Tensor, "depth length image_width"]


class MmAP(Method):
    """Multi-modal alignment prompts: one source for both towers."""

    name = "mmap"
    summary = "one source prompt for both towers; learns several data sets together"
    paper = "Xin et al., AAAI 2024, arXiv 2312.08636"
    fidelity = "reconstruction"
    learns_together = True
    difference = "there is no public code: the recipe and how prompts start are our own"

    @dataclass(frozen=True)
    class Config(Method.Config):
        """Settings of MmAP."""

        length: int = 4
        """Prompt tokens on each side."""
        depth: int = 9
        """Number of blocks, counted from block 0, that have prompts."""
        group_length: int = 0
        """Further prompt tokens in front of those, which the tasks of a group share; with several
        data sets as many as the length, unless set."""

        def __post_init__(self) -> None:
            group = self.group_length
            require(self.length >= 1, f"mmap: length is {self.length}, expected 1 or more")
            require(self.depth >= 1, f"mmap: depth is {self.depth}, expected 1 or more")
            require(group >= 0, f"mmap: group_length is {group}, expected 0 or more")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: MmAP.Config = config
        blocks = min(clip.config.image.blocks, clip.config.text.blocks)
        depth = depth_within("mmap", config.depth, type(config).depth, blocks)
        self.names = clip.tokenizer.tokenize_names(class_names)
        self.names.check_fits(clip.config.text.context, config.group_length + config.length)
        self.task = Source(clip, depth, config.length)
        self.group = Source(clip, depth, config.group_length) if config.group_length else None

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD, the same for every number of shots."""
        return Recipe(epochs=20, batch_size=4, lr=0.0035)

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images."""
        image_prompts, text_prompts = self.prompts()
        image = encode_prompted_images(clip, images, image_prompts)
        return clip.logits(image, encode_prompted_texts(clip, self.names, text_prompts)[0])

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """The prompted classes and the image prompts."""
        image_prompts, text_prompts = self.prompts()
        classes = encode_prompted_texts(clip, self.names, text_prompts)[0]
        return StaticPrompts.of(clip, classes, image_prompts)

    def prompts(self) -> tuple[dict[int, ImagePrompt], dict[int, TextPrompt]]:
        """What is written before each block of the image and of the text tower."""
        sources = [self.task] if self.group is None else [self.group, self.task]
        image = torch.cat([source.for_images() for source in sources], dim=1)
        text = torch.cat([source.for_texts() for source in sources], dim=1)
        return dict(enumerate(image)), dict(enumerate(text[:, None]))


class Source(nn.Module):
    """A source prompt for every depth, and how it becomes a prompt of either tower.

    Args:
        clip: for its widths.
        depth: number of blocks.
        length: tokens.
    """

    def __init__(self, clip: CLIP, depth: int, length: int) -> None:
        super().__init__()
        image_width, text_width = clip.config.image.width, clip.config.text.width
        width = gcd(image_width, text_width)
        self.prompts = random_prompt(depth, length, width)
        self.image_factors = nn.Parameter(torch.ones(1, image_width // width))
        self.text_factors = nn.Parameter(torch.ones(1, text_width // width))

    def for_images(self) -> ImagePrompts:
        """Of every depth, ``[depth, length, image_width]``."""
        return torch.kron(self.image_factors, self.prompts)

    def for_texts(self) -> TextPrompts:
        """Of every depth, ``[depth, length, text_width]``."""
        return torch.kron(self.text_factors, self.prompts)
