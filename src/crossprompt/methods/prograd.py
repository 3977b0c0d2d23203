"""ProGrad: CoOp, whose steps may not undo what zero-shot CLIP says of the training images.

Zhu et al., ICCV 2023, https://arxiv.org/abs/2205.14865. Where the gradient of the cross-entropy
opposes that of the divergence from zero-shot CLIP's probabilities, the part that opposes it is
taken out. Deviations from the authors' public code:

* The prompt starts from "a photo of a" for every data set, after tokens that are zero; the authors
  take each data set's template, rewritten so that it ends with the class name.
* One strength for all data sets, the authors' for most; theirs is 0.8 for Flowers102, DTD and
  EuroSAT with 8 and 16 shots (``--strength``).
* As for CoOp here, the epochs are the same for all data sets (ImageNet there: ``--epochs 50``).
* On several processes both gradients are averaged before one is projected on the other, so that
  they learn what one process with all images learns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.autograd import grad
from torch.nn.functional import cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import FeatureMethod, Recipe
from crossprompt.methods.coop import epochs_for
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.methods.prompted import encode_prompted_texts
from crossprompt.methods.prompts import prompt_ending_in_words, random_prompt
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils import distributed
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Labels, Logits, Scalar


class ProGrad(FeatureMethod):
    """A learned text prompt whose gradient is aligned with what was known without it."""

    name = "prograd"
    summary = "CoOp with its gradient aligned to zero-shot CLIP"
    paper = "Zhu et al., ICCV 2023, arXiv 2205.14865"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(FeatureMethod.Config):
        """Settings of ProGrad."""

        length: int = 16
        """Prompt tokens in front of the class name."""
        initial_words: str = "a photo of a"
        """Words that the prompt ends in at the start, after tokens that are zero; an empty text
        lets it start at random."""
        strength: float = 1.0
        """How much of the opposing part is taken out: 1 all of it, 0 nothing, as in CoOp."""
        template: tuple[str, ...] = PHOTO
        """Of zero-shot CLIP: one or more sentences with {} in place of the class name."""

        def __post_init__(self) -> None:
            require(self.length >= 1, f"prograd: length is {self.length}, expected 1 or more")
            require(self.strength >= 0, f"prograd: strength is {self.strength}, expected 0 or more")
            check_templates(self.template, "prograd")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: ProGrad.Config = config
        self.texts = ClassTexts(clip, class_names, config.template)
        self.names = clip.tokenizer.tokenize_names(class_names)
        self.names.check_fits(clip.config.text.context, config.length)
        words, length = config.initial_words, config.length
        self.text_prompt = (
            prompt_ending_in_words(clip, words, length)
            if words
            else random_prompt(length, clip.config.text.width)
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """As CoOp's."""
        return Recipe(epochs=epochs_for(shots), batch_size=32, lr=0.002)

    def prepare(self, clip: CLIP, examples: Examples) -> None:
        """Encode zero-shot CLIP's texts."""
        self.texts.keep(clip)

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        """Score image features against the prompted classes."""
        return clip.logits(features, self._encode_classes(clip))

    def backward(self, clip: CLIP, inputs: ImageFeatures, labels: Labels) -> Scalar:
        """Leave the aligned gradient in the prompt: alignment needs those over all processes."""
        logits = self.score(clip, inputs)
        known = clip.logits(inputs, self.texts.features(clip)).softmax(-1)
        loss = cross_entropy(logits, labels)
        # its gradient is that of the divergence: the known probabilities do not change
        distance = cross_entropy(logits, known)
        (gradient,) = grad(loss, self.text_prompt, retain_graph=True)
        (guide,) = grad(distance, self.text_prompt)
        distributed.average([gradient, guide])
        self.text_prompt.grad = align(gradient, guide, self.config.strength)
        return loss

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """The prompted classes; the image tower has no prompt."""
        return StaticPrompts.of(clip, self._encode_classes(clip))

    def _encode_classes(self, clip: CLIP) -> ClassFeatures:
        return encode_prompted_texts(clip, self.names, {0: self.text_prompt[None]})[0]


def align(gradient: Tensor, guide: Tensor, strength: float) -> Tensor:
    """The gradient without the part that opposes the guide, if it opposes it.

    Args:
        gradient: of any shape.
        guide: of the same shape.
        strength: how much of that part is taken out, 1 for all.
    """
    along = (gradient * guide).sum()
    if along >= 0:
        return gradient
    return gradient - strength * along / guide.square().sum() * guide
