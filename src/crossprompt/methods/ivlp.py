"""IVLP: trainable tokens before each of the first blocks of both towers, independent of each other.

Rasheed et al., CVPR 2023, https://arxiv.org/abs/2212.03640, who prompt both towers of CLIP for
videos; here as the baseline on images in the public code of PromptSRC
(https://github.com/muzairkhattak/PromptSRC, configs/trainers/IVLP): 4 tokens before each of the
first 9 blocks, 20 epochs. Deviations from that code:

* One length and one depth for both towers; its settings also have the same for both.
* Initial values are fp32; its are rounded to fp16.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import PromptMethod, Recipe
from crossprompt.utils.shapes import ClassFeatures, ImagePrompt


class IVLP(PromptMethod):
    """Independent vision-language prompting: uncoupled prompts in both towers."""

    name = "ivlp"
    summary = "deep prompts in both towers, independent of one another"
    paper = "Rasheed et al., CVPR 2023, arXiv 2212.03640"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(prompts.DeepConfig, PromptMethod.Config):
        def __post_init__(self) -> None:
            prompts.check_at_least("ivlp", self, length=1, depth=1)

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: IVLP.Config = config
        depth = prompts.limit_depth("ivlp", clip, config.depth, type(config).depth)
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        first = prompts.from_words_or_draw(clip, config.initial_words, config.length)
        self.text_prompts = prompts.deep(first, depth)
        self.image_prompts = prompts.deep(
            prompts.draw(config.length, clip.config.image.width), depth
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published."""
        return Recipe(epochs=20, batch_size=4, lr=0.0025)

    def prompts_by_block(self) -> dict[int, ImagePrompt]:
        return dict(enumerate(self.image_prompts))

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return prompts.encode_classes(clip, self.names, dict(enumerate(self.text_prompts)))
