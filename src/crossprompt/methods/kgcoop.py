"""KgCoOp: CoOp, held near zero-shot CLIP's text features.

Yao et al., CVPR 2023, https://arxiv.org/abs/2303.13283. The loss is cross-entropy plus 8 times the
mean over classes of 1 - cos(prompted text, hand-written text). Nothing deviates from the authors'
public code but that the hand-written text is the data set's template here, and that modules which
their code builds and never uses are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch.nn.functional import cosine_similarity, cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import FeatureMethod, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.methods.prompted import encode_prompted_texts
from crossprompt.methods.prompts import first_text_prompt
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Labels, Logits, Scalar


class KgCoOp(FeatureMethod):
    """A learned text prompt that may not lead far from what was known without it."""

    name = "kgcoop"
    summary = "CoOp, held near the hand-written class texts"
    paper = "Yao et al., CVPR 2023, arXiv 2303.13283"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(FeatureMethod.Config):
        """Settings of KgCoOp."""

        length: int = 4
        """Prompt tokens in front of the class name."""
        initial_words: str = "a photo of a"
        """Words whose first tokens, as many as the length, the prompt starts from; an empty text
        lets it start at random."""
        weight: float = 8.0
        """Of the distance from the hand-written texts."""
        template: tuple[str, ...] = PHOTO
        """The hand-written text: one or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            require(self.length >= 1, f"kgcoop: length is {self.length}, expected 1 or more")
            require(self.weight >= 0, f"kgcoop: weight is {self.weight}, expected 0 or more")
            check_templates(self.template, "kgcoop")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: KgCoOp.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)
        self.names = clip.tokenizer.tokenize_names(class_names)
        self.names.check_fits(clip.config.text.context, config.length)
        self.text_prompt = first_text_prompt(clip, config.initial_words, config.length)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published, the same for every number of shots."""
        return Recipe(epochs=100, batch_size=128, lr=0.002)

    def prepare(self, clip: CLIP, examples: Examples) -> None:
        """Encode the hand-written texts."""
        self.texts.keep(clip)

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        """Score image features against the prompted classes."""
        return clip.logits(features, self._encode_classes(clip))

    def loss(self, clip: CLIP, inputs: ImageFeatures, labels: Labels) -> Scalar:
        """Cross-entropy, and the mean distance from the hand-written texts."""
        classes = self._encode_classes(clip).float()
        distance = 1 - cosine_similarity(classes, self.texts.features(clip)).mean()
        return cross_entropy(clip.logits(inputs, classes), labels) + self.config.weight * distance

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """The prompted classes; the image tower has no prompt."""
        return StaticPrompts.of(clip, self._encode_classes(clip))

    def _encode_classes(self, clip: CLIP) -> ClassFeatures:
        return encode_prompted_texts(clip, self.names, {0: self.text_prompt[None]})[0]
