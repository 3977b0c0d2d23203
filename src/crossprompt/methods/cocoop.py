"""CoCoOp: trainable context tokens before the class name, shifted by every image's feature.

Zhou et al., CVPR 2022, https://arxiv.org/abs/2203.05557. A bottleneck network makes one vector of
the image's feature, which is added to every context token, so that each image has its own text of
every class. Deviations from the authors' public code: features stay in fp32, and the tokens that an
image's texts share are computed once, not once per class, so that any batch size fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import FeatureMethod, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Conditional, Frozen
from crossprompt.methods.heads.adapter import reduced_width
from crossprompt.methods.heads.conditional import Down, Up, score, shift, tokens_of
from crossprompt.utils.shapes import ImageFeatures, Logits


class CoCoOp(FeatureMethod):
    """A text prompt, and a network that shifts it by the image's feature."""

    name = "cocoop"
    summary = "CoOp whose prompt each image shifts; its text tower runs for every image"
    paper = "Zhou et al., CVPR 2022, arXiv 2203.05557"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(FeatureMethod.Config):
        length: int = 4
        """Prompt tokens in front of the class name."""
        initial_words: str = "a photo of a"
        """Words whose first tokens, as many as the length, the prompt starts from; an empty text
        lets it start at random."""
        reduction: int = 16
        """Width of the feature divided by that of the network's bottleneck."""

        def __post_init__(self) -> None:
            prompts.check_at_least("cocoop", self, length=1, reduction=1)

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: CoCoOp.Config = config
        embed, width = clip.config.embed, clip.config.text.width
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        hidden = reduced_width("cocoop", embed, config.reduction)
        self.text_prompt = prompts.from_words_or_draw(clip, config.initial_words, config.length)
        self.down = nn.Linear(embed, hidden)
        self.up = nn.Linear(hidden, width)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as CoOp's with one image a step."""
        return Recipe(epochs=10, batch_size=1, lr=0.002)

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        return score(clip, self.names, features, shift(self.text_prompt, features, *self._layers()))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        return Conditional(tokens_of(self.names), self.text_prompt, *self._layers())

    def _layers(self) -> tuple[Down, Up]:
        return (self.down.weight, self.down.bias), (self.up.weight, self.up.bias)
