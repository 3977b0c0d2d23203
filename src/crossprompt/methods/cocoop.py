"""CoCoOp: the words around the class name are learned vectors, which every image moves.

Zhou et al., CVPR 2022, https://arxiv.org/abs/2203.05557. A bottleneck network makes one vector of
the image's feature, which is added to every context token, so that each image has its own text of
every class. Nothing deviates from the authors' public code but that the features stay in fp32 and
that a batch of any size fits: what an image's texts share is computed once, not once per class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import FeatureMethod, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Conditional, Frozen
from crossprompt.methods.heads.conditional import Down, Up, score, shift, tokens_of
from crossprompt.methods.prompts import first_text_prompt
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImageFeatures, Logits


class CoCoOp(FeatureMethod):
    """A learned text prompt and a network that moves it by the image's feature."""

    name = "cocoop"
    summary = "CoOp whose words are moved by each image; its text tower runs for every image"
    paper = "Zhou et al., CVPR 2022, arXiv 2203.05557"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(FeatureMethod.Config):
        """Settings of CoCoOp."""

        length: int = 4
        """Prompt tokens in front of the class name."""
        initial_words: str = "a photo of a"
        """Words whose first tokens, as many as the length, the prompt starts from; an empty text
        lets it start at random."""
        reduction: int = 16
        """How many times narrower than the feature the network's bottleneck is."""

        def __post_init__(self) -> None:
            for name in ("length", "reduction"):
                value = getattr(self, name)
                require(value >= 1, f"cocoop: {name} is {value}, expected 1 or more")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: CoCoOp.Config = config
        embed, width = clip.config.embed, clip.config.text.width
        self.names = clip.tokenizer.tokenize_names(class_names)
        self.names.check_fits(clip.config.text.context, config.length)
        hidden = embed // config.reduction
        require(
            hidden >= 1,
            f"cocoop: reduction is {config.reduction} but this backbone's features have width "
            f"{embed}, so nothing would be left; choose a smaller one",
        )
        self.text_prompt = first_text_prompt(clip, config.initial_words, config.length)
        self.down = nn.Linear(embed, hidden)
        self.up = nn.Linear(hidden, width)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as CoOp's with one image a step, the same for every number of shots."""
        return Recipe(epochs=10, batch_size=1, lr=0.002)

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        """Score image features, each against the classes prompted for it."""
        return score(clip, self.names, features, shift(self.text_prompt, features, *self._layers()))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """The prompt, the network, and the tokens of the class names."""
        return Conditional(tokens_of(self.names), self.text_prompt, *self._layers())

    def _layers(self) -> tuple[Down, Up]:
        return (self.down.weight, self.down.bias), (self.up.weight, self.up.bias)
