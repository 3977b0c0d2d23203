"""PromptSRC: IVLP with a loss that keeps it near the frozen CLIP, averaged over its epochs.

Khattak et al., ICCV 2023, https://arxiv.org/abs/2307.06948. The loss is cross-entropy plus 25 times
the mean absolute difference of prompted and frozen text features, 10 times that of the image
features, and the divergence of the prompted from the frozen logits. Frozen texts are the mean over
many templates; frozen images are those of the step, after augmentation. The result is the mean of
the prompts over all epochs, weighted by a Gaussian of the epoch. The terms are reduced as in the
authors' public code (https://github.com/muzairkhattak/PromptSRC, trainers/promptsrc.py:313): means
over all elements of features of length 1; the divergence KL(frozen || prompted), summed and divided
by the number of logits. Deviations from it:

* Frozen texts: every template's feature is normalized before the mean is taken, as in zero-shot
  CLIP; theirs is the normalized mean of unnormalized features.
* One Gaussian for all data sets, theirs for six of eleven: mean 30 and deviation 30, of 50 epochs.
  Theirs are 45 and 5 for StanfordCars, Flowers102, FGVCAircraft, DTD and EuroSAT.
* Trainable parameters are fp32; there they are fp16.

Their other settings: base-to-new 20 epochs with mean 15 and deviation 1; from ImageNet to other
data sets 20 epochs with mean 6, deviation 10 and depth 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy, kl_div, l1_loss, log_softmax, normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import PromptMethod, Recipe
from crossprompt.methods.templates import ClassTexts, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, ImagePrompt, Images, Labels, Scalar


class PromptSRC(PromptMethod):
    """Prompting with self-regulating constraints."""

    name = "promptsrc"
    summary = "IVLP, kept near the frozen CLIP by its loss and averaged over its epochs"
    paper = "Khattak et al., ICCV 2023, arXiv 2307.06948"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(prompts.DeepConfig, PromptMethod.Config):
        text_weight: float = 25.0
        """Weight of the distance from the frozen text features."""
        image_weight: float = 10.0
        """Weight of the distance from the frozen image features."""
        logits_weight: float = 1.0
        """Weight of the divergence from the frozen logits."""
        ensemble: tuple[str, ...] = ("imagenet-60",)
        """Templates of the frozen texts, sentences with {} in place of the class name; imagenet
        stands for CLIP's eighty of ImageNet, imagenet-60 for the first sixty."""
        gaussian_mean: float = 30.0
        """Epoch with the largest weight in the result."""
        gaussian_std: float = 30.0
        """Standard deviation of the weights, in epochs."""

        def __post_init__(self) -> None:
            weights = {"text_weight": 0, "image_weight": 0, "logits_weight": 0}
            prompts.check_at_least("promptsrc", self, length=1, depth=1, **weights)
            deviation = self.gaussian_std
            require(deviation > 0, f"promptsrc: gaussian_std is {deviation}, expected more than 0")
            check_templates(self.ensemble, "promptsrc", "ensemble")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: PromptSRC.Config = config
        depth = prompts.limit_depth("promptsrc", clip, config.depth, type(config).depth)
        self.texts = ClassTexts(clip, class_names, config.ensemble)
        self.names = prompts.tokenize_names(clip, class_names, config.length)
        first = prompts.from_words_or_draw(clip, config.initial_words, config.length)
        self.text_prompts = prompts.deep(first, depth)
        self.image_prompts = prompts.deep(
            prompts.draw(config.length, clip.config.image.width), depth
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """SGD as published."""
        return Recipe(epochs=50, batch_size=4, lr=0.0025)

    def loss(self, clip: CLIP, images: Images, labels: Labels) -> Scalar:
        """Cross-entropy, and the distances from the frozen texts, images and logits."""
        image, text = self.encode_images(clip, images), self.encode_classes(clip)
        with torch.no_grad():
            known_image, known_text = clip.encode_images(images), self.texts.features(clip)
        logits, known_logits = clip.logits(image, text), clip.logits(known_image, known_text)
        divergence = kl_div(
            log_softmax(logits, dim=-1),
            log_softmax(known_logits, dim=-1),
            log_target=True,
            reduction="sum",
        )
        return (
            cross_entropy(logits, labels)
            + self.config.text_weight * distance(text, known_text)
            + self.config.image_weight * distance(image, known_image)
            + self.config.logits_weight * divergence / logits.numel()
        )

    def epoch_weights(self, epochs: int) -> Sequence[float]:
        """A Gaussian of the epoch."""
        return gaussian_weights(epochs, self.config.gaussian_mean, self.config.gaussian_std)

    def prompts_by_block(self) -> dict[int, ImagePrompt]:
        return dict(enumerate(self.image_prompts))

    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        return prompts.encode_classes(clip, self.names, dict(enumerate(self.text_prompts)))


def distance(features: ClassFeatures, known: ClassFeatures) -> Scalar:
    """The mean absolute difference of the normalized features."""
    return l1_loss(normalize(features.float(), dim=-1), normalize(known.float(), dim=-1))


def gaussian_weights(epochs: int, mean: float, deviation: float) -> list[float]:
    """The weight of each epoch, counted from 1, in a mean; their sum is 1."""
    exponents = [-0.5 * ((epoch - mean) / deviation) ** 2 for epoch in range(1, epochs + 1)]
    highest = max(exponents)  # far from the mean all would underflow
    weights = [math.exp(exponent - highest) for exponent in exponents]
    return [weight / sum(weights) for weight in weights]
