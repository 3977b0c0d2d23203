"""Interface of a method: it holds only its parameters and takes CLIP in each call."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.data.class_names import check_class_names
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.methods.prompts import encode_prompted_images
from crossprompt.methods.templates import TextFeatureCache
from crossprompt.utils.config import Settings, require
from crossprompt.utils.shapes import (
    ClassFeatures,
    ImageFeatures,
    ImagePrompt,
    Images,
    Labels,
    Logits,
    Scalar,
)

Built = TypeVar("Built", bound="Method")
TRAIN_FIRST = "call train(method, clip, images) first, also where there are no steps"


@dataclass(frozen=True)
class Recipe:
    """Training settings of a method's publication."""

    epochs: int
    """Number of epochs; 0 if nothing is trained by gradient, or if ``steps`` is given instead."""
    batch_size: int
    """Images in a step, over all processes."""
    lr: float
    """Highest learning rate."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: float = 0.9
    """Momentum of SGD; the other optimizers have none."""
    eps: float = 1e-8
    """Epsilon of Adam and AdamW."""
    weight_decay: float = 5e-4
    schedule: Literal["warm-up-cosine", "cosine"] = "warm-up-cosine"
    """Learning rate over the epochs, see ``training.train.learning_rate``."""
    first_lr: float = 1e-5
    """Learning rate of the first epoch of ``warm-up-cosine``."""
    last_lr: float = 0.0
    """Final learning rate of ``cosine``."""
    augment: bool = True
    """Random crops and flips of the training images."""
    smallest_crop: float = 0.08
    """Smallest part of an image's area that a random crop keeps."""
    views: int = 0
    """Crops of each image that are drawn and encoded once and repeated, for methods with ``inputs =
    "features"``; 0 draws a new crop in every epoch."""
    steps: int = 0
    """Total number of steps, for recipes that are not given in epochs."""

    @property
    def trains(self) -> bool:
        """False where nothing is trained by gradient."""
        return self.epochs > 0 or self.steps > 0

    def for_images(self, images: int) -> "Recipe":
        """Convert ``steps`` to the smallest number of whole epochs that has at least as many."""
        if not self.steps:
            return self
        return replace(self, epochs=ceil(self.steps / max(1, images // self.batch_size)))


class Method(nn.Module, ABC):
    """Base of all methods: holds only its parameters; CLIP is passed to each call, never stored.

    So ``parameters()`` is what the optimizer gets and ``state_dict()`` is the checkpoint.
    Subclasses are final.

    Args:
        clip: the frozen backbone, for sizes and embeddings.
        class_names: in the order of the labels.
        config: the method's settings.
    """

    name: ClassVar[str]
    """Name on the command line."""
    summary: ClassVar[str]
    """One line for the list of methods."""
    paper: ClassVar[str]
    """Publication."""
    fidelity: ClassVar[Literal["faithful", "repaired", "reconstruction"]]
    """``faithful`` to the authors' public code; with a fault ``repaired``; or a ``reconstruction``
    with details of our own where the publication leaves them open."""
    difference: ClassVar[str] = ""
    """Short description of the repair or of the details of our own; empty where faithful."""
    inputs: ClassVar[Literal["images", "features"]] = "images"
    """Input of ``loss`` and ``backward``: pixels, or features of the unmodified image tower, which
    then encodes an image only once."""
    learns_together: ClassVar[bool] = False
    """True if several data sets can be learned together."""
    texts: TextFeatureCache
    """Hand-written class texts, if the method has any; ``prepare`` encodes them."""

    @dataclass(frozen=True)
    class Config(Settings):
        """Settings of the method, each an option of the command line and saved with the result."""

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: "Method.Config") -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.config = config

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.config.to_json().items())
        return f"{type(self).__name__}({settings}; {len(self.class_names)} classes)"

    @classmethod
    def build(
        cls: type[Built],
        clip: CLIP,
        class_names: Sequence[str],
        options: Mapping[str, Any],
        seed: int = 1,
    ) -> Built:
        """``build_method`` of this class; the global generator is left as it is."""
        check_class_names(class_names)
        config = cls.Config.of(options, cls.name)
        with torch.random.fork_rng(devices=[]):  # modules draw from the global generator
            torch.default_generator.manual_seed(seed)  # parameters are set up on the CPU
            # numpy's strings become Python's, as they are when read again
            return cls(clip, tuple(map(str, class_names)), config).to(clip.device)

    @classmethod
    def class_specific_parameters(cls, config: "Method.Config") -> str | None:
        """Describe the class-specific parameters; None if there are none.

        Such a method cannot be applied to new classes. Where it is None, no parameter's shape or
        meaning may depend on the class names.
        """
        return None

    @classmethod
    @abstractmethod
    def recipe(cls, shots: int) -> Recipe:
        """The published recipe for ``shots`` training images per class."""

    def count_parameters(self, shots: int) -> int:
        """Number of trainable parameters with ``shots`` training images per class."""
        return sum(parameter.numel() for parameter in self.parameters())

    def resize_for(self, state: Mapping[str, Any]) -> None:
        """Take the sizes of a checkpoint where they depend on the training images."""

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint, after ``resize_for``."""
        self.resize_for(state_dict)
        return super().load_state_dict(state_dict, *args, **kwargs)

    def prepare(self, clip: CLIP, examples: Examples) -> None:
        """Compute, before the first step, what is not trained by gradient."""
        if hasattr(self, "texts"):
            self.texts.keep(clip)

    def epoch_weights(self, epochs: int) -> Sequence[float] | None:
        """Weights of the parameters after each epoch in the result, which is their mean.

        Returns:
            One weight per epoch, summing to 1; None to keep the last epoch's parameters.
        """
        return None

    def finish(self, clip: CLIP, examples: Examples) -> None:
        """Choose settings, after the last step, on the validation images."""

    @abstractmethod
    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score ``[batch, 3, side, side]`` images: ``[batch, classes]``."""

    def encode_inputs(self, clip: CLIP, images: Images) -> Tensor:
        """Turn ``[batch, 3, side, side]`` images into the input of ``loss``; see ``inputs``."""
        return clip.encode_images(images) if self.inputs == "features" else images

    def loss(self, clip: CLIP, inputs: Tensor, labels: Labels) -> Scalar:
        """Cross-entropy, unless the method has another loss.

        Args:
            clip: the frozen backbone.
            inputs: images ``[batch, 3, side, side]`` or, not normalized, features ``[batch,
                embed]``; see ``inputs``.
            labels: ``[batch]``, indices of classes.
        """
        return cross_entropy(self(clip, inputs), labels)

    def backward(self, clip: CLIP, inputs: Tensor, labels: Labels) -> Scalar:
        """Compute ``loss`` and its gradients, which are left in ``parameters()``."""
        loss = self.loss(clip, inputs, labels)
        loss.backward()
        return loss

    @abstractmethod
    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """Compute what scores a single image without text and without other images.

        ``examples`` are the training images, for prompts that depend on images.
        """

    def freeze_for_new_classes(self, clip: CLIP, earlier: Frozen) -> Frozen:
        """``freeze`` for other classes and without images.

        Calibrated prompts are taken from ``earlier``, the frozen form for the classes of the
        training; ``RequestError`` if it lacks them.
        """
        return self.freeze(clip, Examples(clip, ()))

    def with_class_names(self, clip: CLIP, class_names: Sequence[str], **changes: Any) -> "Method":
        """Copy the method, with the same parameters, for other classes and changed settings.

        Raises:
            RequestError: the method has class-specific parameters, unusable class names, or an
                impossible setting.
        """
        specific = self.class_specific_parameters(self.config)
        require(
            specific is None,
            f"{self.name} has class-specific parameters ({specific}), which apply only to its own "
            f"{len(self.class_names)} classes; train it on the other classes, or choose a method "
            "or setting with one prompt for all classes",
        )
        other = self.build(clip, class_names, {**self.config.to_json(), **changes})
        old, new = ({k: x.shape for k, x in m.state_dict().items()} for m in (self, other))
        differing = [key for key in old | new if old.get(key) != new.get(key)]
        require(
            not differing,
            f"with {', '.join(changes)} {self.name} has other parameters than were trained "
            f"({', '.join(differing)}); leave that setting as it is, or train it anew",
        )
        other.load_state_dict(self.state_dict(), strict=True)
        return other.train(self.training)


class FeatureMethod(Method):
    """Base of methods that leave the image tower as it is; they are trained on features."""

    inputs = "features"

    @abstractmethod
    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        """Score image features ``[batch, embed]``, not normalized: ``[batch, classes]``."""

    def forward(self, clip: CLIP, images: Images) -> Logits:
        return self.score(clip, clip.encode_images(images))

    def loss(self, clip: CLIP, inputs: ImageFeatures, labels: Labels) -> Scalar:
        return cross_entropy(self.score(clip, inputs), labels)


class TextMethod(FeatureMethod):
    """Base of methods that score image features by their cosine with class features."""

    @abstractmethod
    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        """Class features ``[classes, embed]``, not normalized."""

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        return clip.logits(features, self.encode_classes(clip))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        return StaticPrompts.of(clip, self.encode_classes(clip))


class PromptMethod(Method):
    """Base of methods that prompt the image tower, alike for all images."""

    @abstractmethod
    def encode_classes(self, clip: CLIP) -> ClassFeatures:
        """Class features ``[classes, embed]``, not normalized."""

    @abstractmethod
    def prompts_by_block(self) -> Mapping[int, ImagePrompt]:
        """Prompt before each block, as ``encode_prompted_images`` takes them."""

    def encode_images(self, clip: CLIP, images: Images) -> ImageFeatures:
        """Features ``[batch, embed]`` of prompted images, not normalized."""
        return encode_prompted_images(clip, images, self.prompts_by_block())

    def forward(self, clip: CLIP, images: Images) -> Logits:
        return clip.logits(self.encode_images(clip, images), self.encode_classes(clip))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        return StaticPrompts.of(clip, self.encode_classes(clip), self.prompts_by_block())
