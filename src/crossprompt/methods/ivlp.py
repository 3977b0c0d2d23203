"""IVLP: learned tokens in both towers and before each of their first blocks, independent of one
another.

Rasheed et al., CVPR 2023, https://arxiv.org/abs/2212.03640, who prompt both towers of CLIP for
videos; as the baseline on images that MaPLe and PromptSRC start from, in the public code of the
latter (https://github.com/muzairkhattak/PromptSRC, configs/trainers/IVLP): 4 tokens before each of
the first 9 blocks, 20 epochs. Deviations from that code:

* One length and one depth for both towers, which can differ there and do not in its settings.
* The start values are fp32 where its are rounded to fp16.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.methods.prompted import encode_prompted_images, encode_prompted_texts
from crossprompt.methods.prompts import (
    deep_prompts,
    depth_within,
    first_text_prompt,
    random_prompt,
)
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, Images, Logits


class IVLP(Method):
    """Independent vision-language prompting: both towers are prompted, neither knows the other."""

    name = "ivlp"
    summary = "deep prompts in both towers, independent of one another"
    paper = "Rasheed et al., CVPR 2023, arXiv 2212.03640"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(Method.Config):
        """Settings of IVLP."""

        length: int = 4
        """Prompt tokens in each tower."""
        depth: int = 9
        """Number of blocks, counted from the first, that have a prompt of their own in each
        tower."""
        initial_words: str = "a photo of a"
        """Words whose first tokens, as many as the length, the first text prompt starts from; an
        empty text lets it start at random, as all others do."""

        def __post_init__(self) -> None:
            require(self.length >= 1, f"ivlp: length is {self.length}, expected 1 or more")
            require(self.depth >= 1, f"ivlp: depth is {self.depth}, expected 1 or more")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: IVLP.Config = config
        image, text = clip.config.image, clip.config.text
        blocks = min(image.blocks, text.blocks)
        depth = depth_within("ivlp", config.depth, type(config).depth, blocks)
        self.names = clip.tokenizer.tokenize_names(class_names)
        self.names.check_fits(text.context, config.length)
        first = first_text_prompt(clip, config.initial_words, config.length)
        self.text_prompts = deep_prompts(first, depth)
        self.image_prompts = deep_prompts(random_prompt(config.length, image.width), depth)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published, the same for every number of shots."""
        return Recipe(epochs=20, batch_size=4, lr=0.0025)

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score prompted images against the prompted classes."""
        features = encode_prompted_images(clip, images, dict(enumerate(self.image_prompts)))
        return clip.logits(features, self._encode_classes(clip))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """The image prompts, and the prompted classes' features."""
        image_prompts = dict(enumerate(self.image_prompts))
        return StaticPrompts.of(clip, self._encode_classes(clip), image_prompts)

    def _encode_classes(self, clip: CLIP) -> ClassFeatures:
        text_prompts = {depth: prompt[None] for depth, prompt in enumerate(self.text_prompts)}
        return encode_prompted_texts(clip, self.names, text_prompts)[0]
