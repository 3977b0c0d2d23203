"""MaPLe: trainable text prompts before the first blocks; linear maps of them prompt the images.

Khattak et al., CVPR 2023, https://arxiv.org/abs/2210.03117. Before block i of both towers stand the
text prompt T_i and the image prompt F_i(T_i), F_i a linear map (the coupling function). Deviations
from the authors' public code:

* All parameters are fp32; there the first coupling function is rounded to fp16.
* A prompt longer than its initial words is an error; there one of more than 4 tokens starts at
  random without notice.

For ImageNet as a source of other data sets the authors train 2 epochs with learning rate 0.0026 and
depth 3.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import PromptMethod, Recipe
from crossprompt.utils.shapes import ClassFeatures, ImagePrompt


class MaPLe(PromptMethod):
    """Multi-modal prompt learning: image prompts are linear in the text prompts."""

    name = "maple"
    summary = "deep text prompts, and image prompts that are linear in them"
    paper = "Khattak et al., CVPR 2023, arXiv 2210.03117"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(prompts.DeepConfig, PromptMethod.Config):
        length: int = 2
        """Prompt tokens in each tower."""

        def __post_init__(self) -> None:
            prompts.check_at_least("maple", self, length=1, depth=1)

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: MaPLe.Config = config
        image, text = clip.config.image, clip.config.text
        depth = prompts.limit_depth("maple", clip, config.depth, type(config).depth)
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        first = prompts.from_words_or_draw(clip, config.initial_words, config.length)
        self.text_prompts = prompts.deep(first, depth)
        later = nn.Linear(text.width, image.width)  # all start alike, as in the public code
        self.couplings = nn.ModuleList(
            [nn.Linear(text.width, image.width), *(deepcopy(later) for _ in range(1, depth))]
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published."""
        return Recipe(epochs=5, batch_size=4, lr=0.0035)

    def prompts_by_block(self) -> dict[int, ImagePrompt]:
        pairs = zip(self.couplings, self.text_prompts, strict=True)
        return {depth: coupling(prompt) for depth, (coupling, prompt) in enumerate(pairs)}

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return prompts.encode_classes(clip, self.names, dict(enumerate(self.text_prompts)))
