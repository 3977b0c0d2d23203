"""DCP: prompts in both towers, rewritten before blocks 1 to depth by attending to each other.

Liu et al., Findings of ACL 2023, https://arxiv.org/abs/2305.17903. Deviations from the authors'
public code:

* ``variant="coupled"`` (default) writes the new text prompt back, as the paper describes. The
  released code computes and drops it (``clip/model.py:419``), so that 14 of 30 trained tensors
  never get a gradient: ``variant="released"``.
* A trained model is calibrated: its prompts are averaged once over the training images, where the
  released code averages over each *test* batch.
* The mean over images is taken over all processes.
* ``start="identity"`` is an addition, for few training steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossprompt.clip.blocks import QuickGELU
from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.methods.prompts import WordPrompt, append, encode_classes, write
from crossprompt.utils import distributed
from crossprompt.utils.config import require
from crossprompt.utils.shapes import (
    ClassFeatures,
    ImageFeatures,
    ImagePrompt,
    Images,
    ImageTokens,
    Logits,
    TextPrompt,
)

ImagePrompts = Float[Tensor, "groups length image_width"]
Mixed = Float[Tensor, "batch mixed_tokens image_width"]
"""The output of an image block: as many tokens, or the class token alone."""
Own = Float[Tensor, "groups length width"]
Other = Float[Tensor, "groups length other_width"]

HEAD_WIDTH = 64
"""Width of CMPA's attention heads, on both sides."""
IMAGES_AT_ONCE = 64
"""Images per call of a block, which bounds the memory of calibration."""


class DCP(Method):
    """Deeply coupled prompts, rewritten by cross-modal prompt attention (CMPA)."""

    name = "dcp"
    summary = "deep prompts in both towers, coupled by attention before blocks 1 to depth"
    paper = "Liu et al., Findings of ACL 2023, arXiv 2305.17903"
    fidelity = "repaired"
    difference = (
        "the new text prompt is written back, where the authors' code drops it, and a classifier's "
        "prompts are those of the training images, not of a test batch"
    )

    @dataclass(frozen=True)
    class Config(Method.Config):
        length: int = 16
        """Prompt tokens on each side."""
        depth: int = 9
        """Number of blocks, counted from block 1, whose prompts are rewritten."""
        share: bool = True
        """One attention module for all blocks, instead of one for each."""
        variant: Literal["coupled", "released"] = "coupled"
        """Write the new text prompt back (coupled, the paper) or drop it (released, its code)."""
        fuse: Literal["mean", "max", "first"] = "mean"
        """Reduction of the prompts of all images to one."""
        initial_words: str | None = None
        """Words whose first tokens, as many as the length, the text prompt starts from; only for a
        length of at most 4. By default it starts at random."""
        start: Literal["random", "identity"] = "random"
        """CMPA at the start: PyTorch's random values, as published, or the identity, which leaves
        prompts as they are; better for few steps."""

        def __post_init__(self) -> None:
            prompts.check_at_least("dcp", self, length=1, depth=1)
            prompts.check_words("dcp", self.initial_words, self.length)

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: DCP.Config = config
        image, text = clip.config.image, clip.config.text
        require(
            image.blocks == text.blocks,
            "dcp couples the towers block by block, but this backbone has "
            f"{image.blocks} image and {text.blocks} text blocks; use one with as many of both",
        )
        depth = prompts.limit_depth("dcp", clip, config.depth, type(config).depth)
        require(
            image.width % HEAD_WIDTH == text.width % HEAD_WIDTH == 0,
            f"dcp attends in heads of width {HEAD_WIDTH}, but this backbone has towers of widths "
            f"{image.width} and {text.width}; use one whose widths are multiples of it",
        )
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        self.last = min(depth, image.blocks - 1)  # before block 0 prompts are never rewritten
        length = config.length
        self.text_prompt = (
            prompts.draw(length, text.width)
            if config.initial_words is None
            else prompts.from_words(clip, config.initial_words, length)
        )
        self.image_prompt = prompts.draw(length, image.width)
        modules = 1 if config.share else self.last
        self.cmpa = nn.ModuleList(
            CMPA(image.width, text.width, config.start) for _ in range(modules)
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published."""
        return Recipe(epochs=20, batch_size=4, lr=0.0035)

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images with prompts that depend on the batch."""
        image, classes, *_ = self._run(clip, images)
        return clip.logits(image, classes)

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """Keep the calibrated prompts, computed from the training images as one batch."""
        _, classes, image_prompts, text_prompts = self._run(clip, examples.calibration)
        return StaticPrompts.of(clip, classes, image_prompts, text_prompts)

    def freeze_for_new_classes(self, clip: CLIP, earlier: Frozen) -> Frozen:
        """Reuse the calibrated prompts, which do not depend on the class names."""
        assert isinstance(earlier, StaticPrompts)
        calibrated = earlier.text_prompts
        if not calibrated and self.config.variant == "released":
            # files of older versions lack the text prompt, which this variant never rewrites
            calibrated = {0: self.text_prompt}
        require(
            bool(calibrated),
            "this classifier was saved without its calibrated text prompts, so it cannot take "
            "other classes; fit it again",
        )
        classes = encode_classes(clip, self.names, calibrated)
        return StaticPrompts.of(clip, classes, earlier.image_prompts, calibrated)

    def _run(
        self, clip: CLIP, images: Images
    ) -> tuple[ImageFeatures, ClassFeatures, dict[int, ImagePrompt], dict[int, WordPrompt]]:
        image = clip.image.enter(append(clip.image.embed(images), self.image_prompt))
        # [None] and [0]: one group, since a prompt is shared by all classes and images
        text = clip.text.enter(clip.text.embed(self.names).insert(self.text_prompt[None]))
        image_prompts: dict[int, ImagePrompt] = {0: self.image_prompt}
        text_prompts: dict[int, WordPrompt] = {0: self.text_prompt}
        blocks = zip(clip.image.blocks, clip.text.blocks, strict=True)
        for depth, (image_block, text_block) in enumerate(blocks):
            if 0 < depth <= self.last:
                image_prompts[depth], text_prompt = self._couple(depth, image, text.prompt)
                image = write(image, image_prompts[depth])
                if self.config.variant == "coupled":
                    text = text.write(text_prompt)
                    text_prompts[depth] = text_prompt[0]
            image, text = by_parts(image_block, image), text_block(text)
        features, classes = clip.image.pool(image), clip.text.pool(text)[0]
        return features, classes, image_prompts, text_prompts

    def _couple(
        self, depth: int, image: ImageTokens, text: TextPrompt
    ) -> tuple[ImagePrompt, TextPrompt]:
        """New prompts, each computed from the old prompts of both towers."""
        cmpa = self.cmpa[0 if self.config.share else depth - 1]
        image_prompt = fuse(image[:, -self.config.length :].float(), self.config.fuse)
        new_image, new_text = cmpa(image_prompt[None], text.float())
        return new_image[0], new_text


def by_parts(block: nn.Module, tokens: ImageTokens) -> Mixed:
    """Call a block for some images at a time."""
    return torch.cat([block(part) for part in tokens.split(IMAGES_AT_ONCE)])


def fuse(image_prompts: ImagePrompts, rule: str) -> ImagePrompt:
    """Reduce the prompts of all images, of every process, by ``mean``, ``max`` or ``first``."""
    if rule == "mean":
        return distributed.gather(image_prompts.mean(0)).mean(0)
    if rule == "max":
        return distributed.gather(image_prompts.amax(0)).amax(0)
    return distributed.gather(image_prompts[0])[0]


class CMPA(nn.Module):
    """Cross-modal prompt attention (section 3.2 of the paper): both prompts rewritten."""

    def __init__(self, image_width: int, text_width: int, start: str = "random") -> None:
        super().__init__()
        self.image = CMPASide(image_width, text_width, start)
        self.text = CMPASide(text_width, image_width, start)

    def forward(self, image: ImagePrompts, text: TextPrompt) -> tuple[ImagePrompts, TextPrompt]:
        """New prompts in the shapes of the old ones, ``[1, length, width]``."""
        return self.image(image, text), self.text(text, image)


class CMPASide(nn.Module):
    """One side of CMPA: queries from the other side's prompt, keys and values from its own.

    With ``start="identity"`` the residual branches are zero at first, but not their gradient.
    """

    def __init__(self, width: int, other_width: int, start: str = "random") -> None:
        super().__init__()
        self.project = nn.Linear(other_width, width)
        self.norm_1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, width // HEAD_WIDTH, batch_first=True)
        self.norm_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width)
        )
        if start == "identity":
            for name, parameter in self.named_parameters():
                if name.startswith(("attention.out_proj", "mlp.2")):
                    nn.init.zeros_(parameter)

    def forward(self, own: Own, other: Other) -> Own:
        """The new prompt: ``[1, length, width]``."""
        query, key = self.norm_1(self.project(other)), self.norm_1(own)
        x: Own = own + self.attention(query, key, key, need_weights=False)[0]
        x = x + self.mlp(self.norm_2(x))
        return x
