"""PMPO: several text prompts, each of which also prompts a segment of the image tower's blocks.

Tian et al., https://arxiv.org/abs/2305.06221. *Reconstruction* from the abstract and summaries of
the paper: there is no public code, and a result is no reproduction. Our choices:

* The image tower's blocks are cut into as many segments as there are prompts, nearly equal where
  they cannot be equal; in every block of a segment the image prompt is one linear layer of that
  segment's text prompt.
* A class is the mean of its normalized features under all text prompts and of the hand-written one,
  each counting as one (``--template-weight`` for another weight).
* Text prompts start from "a photo of a", each with its own noise (deviation 0.002).
* The recipe is MaPLe's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import PromptMethod, Recipe
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, ImagePrompt


class PMPO(PromptMethod):
    """Partitioned multi-modal prompts."""

    name = "pmpo"
    summary = "several text prompts, each also written into a segment of the image tower"
    paper = "Tian et al., arXiv 2305.06221"
    fidelity = "reconstruction"
    difference = "from the abstract and summaries of the paper; there is no public code"

    @dataclass(frozen=True)
    class Config(PromptMethod.Config):
        prompts: int = 4
        """Text prompts, and segments of the image tower; by default no more than it has blocks."""
        length: int = 4
        """Tokens of each prompt."""
        template_weight: float | None = None
        """Weight of the hand-written text in a class, 0 to 1; by default that of one prompt."""
        initial_words: str = "a photo of a"
        """Words whose first tokens, as many as the length, all prompts start from; an empty text
        lets them start at random."""
        noise: float = 0.002
        """Standard deviation of the noise that is added to the words of each prompt."""
        template: tuple[str, ...] = PHOTO
        """The hand-written text: one or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            weight = self.template_weight
            prompts.check_at_least("pmpo", self, prompts=1, length=1, noise=0)
            fine = weight is None or 0 <= weight <= 1
            require(fine, f"pmpo: template_weight is {weight}, expected 0 to 1")
            check_templates(self.template, "pmpo")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: PMPO.Config = config
        image, text = clip.config.image, clip.config.text
        require(
            config.prompts <= image.blocks or config.prompts == type(config).prompts,
            f"pmpo: prompts is {config.prompts} but this backbone has {image.blocks} image blocks, "
            "too few for a segment each; choose fewer",
        )
        self.segments = cut(image.blocks, min(config.prompts, image.blocks))
        self.texts = ClassTexts(clip, class_names, config.template)
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        self.text_prompts = self._start(clip)
        self.to_image = nn.ModuleList(nn.Linear(text.width, image.width) for _ in self.segments)

    def _start(self, clip: CLIP) -> nn.Parameter:
        count, length, words = len(self.segments), self.config.length, self.config.initial_words
        if not words:
            return prompts.draw(count, length, clip.config.text.width)
        start = prompts.from_words(clip, words, length).detach()
        noise = torch.randn(count, *start.shape).to(start.device)
        return nn.Parameter(start + self.config.noise * noise)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as MaPLe's."""
        return Recipe(epochs=5, batch_size=4, lr=0.0035)

    def prompts_by_block(self) -> dict[int, ImagePrompt]:
        owners = zip(self.segments, self.to_image, self.text_prompts, strict=True)
        written = [(blocks, linear(prompt)) for blocks, linear, prompt in owners]
        return {block: prompt for blocks, prompt in written for block in blocks}

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        prompted = prompts.encode_prompted_texts(clip, self.names, {0: self.text_prompts}).float()
        prompted = normalize(prompted, dim=-1).mean(0)
        written = normalize(self.texts.features(clip), dim=-1)
        weight = self.config.template_weight
        weight = 1 / (len(self.segments) + 1) if weight is None else weight
        return normalize((1 - weight) * prompted + weight * written, dim=-1)


def cut(blocks: int, segments: int) -> list[range]:
    """Cut the blocks, in order, into at most as many segments of (nearly) equal length."""
    bounds = [number * blocks // segments for number in range(segments + 1)]
    return [range(start, stop) for start, stop in pairwise(bounds)]
