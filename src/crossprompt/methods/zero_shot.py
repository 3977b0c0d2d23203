"""Zero-shot CLIP: image features are compared with the class names in hand-written sentences.

Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020, section 3.1: with several templates,
the classifier is the normalized mean of the normalized features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Recipe, TextMethod
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.shapes import ClassFeatures


class ZeroShot(TextMethod):
    """Hand-written templates, no trainable parameters."""

    name = "zero_shot"
    summary = "nothing trained: the class names in hand-written templates"
    paper = "Radford et al., ICML 2021, arXiv 2103.00020"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(TextMethod.Config):
        template: tuple[str, ...] = PHOTO
        """One or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            check_templates(self.template, "zero_shot")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: ZeroShot.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """Nothing to train."""
        return Recipe(epochs=0, batch_size=32, lr=0.0)

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return self.texts.features(clip)
