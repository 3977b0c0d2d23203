"""VPT: trainable tokens after the image's patches, before every block or only the first.

Jia et al., ECCV 2022, https://arxiv.org/abs/2203.12119. The paper trains it with a classification
head on vision models; this is the form in which it is compared on CLIP, in the code of MaPLe
(https://github.com/muzairkhattak/multimodal-prompt-learning, trainers/vpt.py and
configs/trainers/VPT): no head but the class texts, no dropout, initial values from N(0, 0.02^2),
tokens after the patches, and the recipe. Deviation from that code: the class text is the data set's
template, there "a photo of a" for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import PromptMethod, Recipe
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.shapes import ClassFeatures, ImagePrompt


class VPT(PromptMethod):
    """Visual prompt tuning: prompts in the image tower only."""

    name = "vpt"
    summary = "trainable tokens beside the image's patches, before every block"
    paper = "Jia et al., ECCV 2022, arXiv 2203.12119"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(PromptMethod.Config):
        length: int = 8
        """Prompt tokens beside the patches."""
        deep: bool = True
        """A separate prompt before every block, or one before the first alone (VPT-shallow)."""
        template: tuple[str, ...] = PHOTO
        """One or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            prompts.check_at_least("vpt", self, length=1)
            check_templates(self.template, "vpt")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: VPT.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)
        first = prompts.draw(config.length, clip.config.image.width)
        self.image_prompts = prompts.deep(first, clip.config.image.blocks if config.deep else 1)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as in MaPLe's code."""
        return Recipe(epochs=5, batch_size=4, lr=0.0025)

    def prompts_by_block(self) -> dict[int, ImagePrompt]:
        return dict(enumerate(self.image_prompts))

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return self.texts.features(clip)
