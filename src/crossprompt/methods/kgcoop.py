"""KgCoOp: CoOp with a loss that keeps class features near zero-shot CLIP's.

Yao et al., CVPR 2023, https://arxiv.org/abs/2303.13283. The loss is cross-entropy plus 8 times the
mean over classes of 1 - cos(prompted text, hand-written text). Deviations from the authors' public
code: the hand-written text is the data set's template, and modules that their code builds and never
uses are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch.nn.functional import cosine_similarity, cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import Recipe, TextMethod
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Labels, Scalar


class KgCoOp(TextMethod):
    """A text prompt whose class features stay near those of hand-written texts."""

    name = "kgcoop"
    summary = "CoOp, kept near the hand-written class texts by its loss"
    paper = "Yao et al., CVPR 2023, arXiv 2303.13283"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(TextMethod.Config):
        length: int = 4
        """Prompt tokens in front of the class name."""
        initial_words: str = "a photo of a"
        """Words whose first tokens, as many as the length, the prompt starts from; an empty text
        lets it start at random."""
        weight: float = 8.0
        """Weight of the distance from the hand-written texts in the loss."""
        template: tuple[str, ...] = PHOTO
        """The hand-written text: one or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            prompts.check_at_least("kgcoop", self, length=1, weight=0)
            check_templates(self.template, "kgcoop")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: KgCoOp.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        self.text_prompt = prompts.from_words_or_draw(clip, config.initial_words, config.length)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published."""
        return Recipe(epochs=100, batch_size=128, lr=0.002)

    def loss(self, clip: CLIP, inputs: ImageFeatures, labels: Labels) -> Scalar:
        """Cross-entropy, and the mean distance from the hand-written texts."""
        classes = self.encode_classes(clip).float()
        distance = 1 - cosine_similarity(classes, self.texts.features(clip)).mean()
        return cross_entropy(clip.logits(inputs, classes), labels) + self.config.weight * distance

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return prompts.encode_classes(clip, self.names, {0: self.text_prompt})
