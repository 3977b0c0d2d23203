"""ProGrad: CoOp whose gradient is projected so that no step opposes zero-shot CLIP's predictions.

Zhu et al., ICCV 2023, https://arxiv.org/abs/2205.14865. Where the gradient of the cross-entropy
opposes that of the divergence from zero-shot CLIP's probabilities, the opposing part is removed.
Deviations from the authors' public code:

* The prompt starts from zeros, then "a photo of a", for every data set; the authors take each data
  set's template, rewritten so that it ends with the class name.
* One strength for all data sets, the authors' for most; theirs is 0.8 for Flowers102, DTD and
  EuroSAT with 8 and 16 shots (``--strength``).
* As for CoOp here, the epochs are the same for all data sets (ImageNet there: ``--epochs 50``).
* On several processes both gradients are averaged before the projection, so that the result is that
  of one process with all images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.autograd import grad
from torch.nn.functional import cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import Recipe, TextMethod
from crossprompt.methods.coop import epochs_for
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils import distributed
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Labels, Scalar


class ProGrad(TextMethod):
    """A text prompt whose gradient is aligned with zero-shot CLIP."""

    name = "prograd"
    summary = "CoOp with its gradient aligned to zero-shot CLIP"
    paper = "Zhu et al., ICCV 2023, arXiv 2205.14865"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(TextMethod.Config):
        length: int = 16
        """Prompt tokens in front of the class name."""
        initial_words: str = "a photo of a"
        """Initial words of the prompt, after zeros; an empty text lets it start at random."""
        strength: float = 1.0
        """Fraction of the opposing part that is removed: 1 all of it, 0 nothing, as in CoOp."""
        template: tuple[str, ...] = PHOTO
        """Zero-shot CLIP's text: one or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            prompts.check_at_least("prograd", self, length=1, strength=0)
            check_templates(self.template, "prograd")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: ProGrad.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        words, length = config.initial_words, config.length
        self.text_prompt = (
            prompts.ending_in_words(clip, words, length)
            if words
            else prompts.draw(length, clip.config.text.width)
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """The recipe of CoOp."""
        return Recipe(epochs=epochs_for(shots), batch_size=32, lr=0.002)

    def backward(self, clip: CLIP, inputs: ImageFeatures, labels: Labels) -> Scalar:
        """Set the prompt's gradient to the aligned one, which needs those over all processes."""
        logits = self.score(clip, inputs)
        known = clip.logits(inputs, self.texts.features(clip)).softmax(-1)
        loss = cross_entropy(logits, labels)
        # has the gradient of the divergence: the known probabilities are constant
        distance = cross_entropy(logits, known)
        (gradient,) = grad(loss, self.text_prompt, retain_graph=True)
        (guide,) = grad(distance, self.text_prompt)
        distributed.average([gradient, guide])
        self.text_prompt.grad = align(gradient, guide, self.config.strength)
        return loss

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return prompts.encode_classes(clip, self.names, {0: self.text_prompt})


def align(gradient: Tensor, guide: Tensor, strength: float) -> Tensor:
    """Remove ``strength`` times the part of the gradient that opposes the guide."""
    along = (gradient * guide).sum()
    if along >= 0:
        return gradient
    return gradient - strength * along / guide.square().sum() * guide
