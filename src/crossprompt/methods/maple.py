"""MaPLe: learned text prompts before the first blocks, from which the image prompts are computed.

Khattak et al., CVPR 2023, https://arxiv.org/abs/2210.03117. Before block i of both towers stand the
text prompt T_i and the image prompt F_i(T_i), F_i a linear map (the coupling function). Deviations
from the authors' public code:

* What is learned is kept in fp32 throughout; there the first coupling function is rounded to fp16.
* A prompt longer than its initial words is an error; there one of more than 4 tokens starts at
  random without a word.

For ImageNet as a source of other data sets the authors train 2 epochs with learning rate 0.0026 and
depth 3.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.methods.prompted import encode_prompted_images, encode_prompted_texts
from crossprompt.methods.prompts import deep_prompts, depth_within, first_text_prompt
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, ImagePrompt, Images, Logits


class MaPLe(Method):
    """Multi-modal prompt learning: the text prompts are learned, the image prompts follow them."""

    name = "maple"
    summary = "deep text prompts, and image prompts that are linear in them"
    paper = "Khattak et al., CVPR 2023, arXiv 2210.03117"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(Method.Config):
        """Settings of MaPLe."""

        length: int = 2
        """Prompt tokens in each tower."""
        depth: int = 9
        """Number of blocks, counted from the first, that have a prompt of their own in each
        tower."""
        initial_words: str = "a photo of a"
        """Words whose first tokens, as many as the length, the first text prompt starts from; an
        empty text lets it start at random, as all others do."""

        def __post_init__(self) -> None:
            require(self.length >= 1, f"maple: length is {self.length}, expected 1 or more")
            require(self.depth >= 1, f"maple: depth is {self.depth}, expected 1 or more")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: MaPLe.Config = config
        image, text = clip.config.image, clip.config.text
        blocks = min(image.blocks, text.blocks)
        depth = depth_within("maple", config.depth, type(config).depth, blocks)
        self.names = clip.tokenizer.tokenize_names(class_names)
        self.names.check_fits(text.context, config.length)
        first = first_text_prompt(clip, config.initial_words, config.length)
        self.text_prompts = deep_prompts(first, depth)
        later = nn.Linear(text.width, image.width)  # all of them start alike, as in the public code
        self.couplings = nn.ModuleList(
            [nn.Linear(text.width, image.width), *(deepcopy(later) for _ in range(1, depth))]
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published, the same for every number of shots."""
        return Recipe(epochs=5, batch_size=4, lr=0.0035)

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images with the coupled prompts against the classes with theirs."""
        features = encode_prompted_images(clip, images, self._couple())
        return clip.logits(features, self._encode_classes(clip))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """The image prompts as they are computed at last, and the prompted classes' features."""
        return StaticPrompts.of(clip, self._encode_classes(clip), self._couple())

    def _couple(self) -> dict[int, ImagePrompt]:
        """Block to image prompt: F_i(T_i)."""
        pairs = zip(self.couplings, self.text_prompts, strict=True)
        return {depth: coupling(prompt) for depth, (coupling, prompt) in enumerate(pairs)}

    def _encode_classes(self, clip: CLIP) -> ClassFeatures:
        text_prompts = {depth: prompt[None] for depth, prompt in enumerate(self.text_prompts)}
        return encode_prompted_texts(clip, self.names, text_prompts)[0]
