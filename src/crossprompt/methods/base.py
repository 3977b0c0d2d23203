"""What every method is: it holds what it learns, is handed CLIP on each call, and can be frozen."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, ClassVar, Literal

from torch import nn
from torch.nn.functional import cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen
from crossprompt.utils import distributed
from crossprompt.utils.config import Settings, require
from crossprompt.utils.shapes import ImageFeatures, Images, Labels, Logits, Scalar

TRAIN_FIRST = "call train(method, clip, images) first, also where there are no steps"
"""To who freezes a method that knows no images yet."""


@dataclass(frozen=True)
class Recipe:
    """How a method is trained unless the user says otherwise."""

    epochs: int
    """Passes over the training images; 0 where there is nothing to train by gradient, or where
    ``steps`` says how long."""
    batch_size: int
    """Images in a step, over all processes."""
    lr: float
    """Highest learning rate."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    """Which optimizer."""
    momentum: float = 0.9
    """Of SGD."""
    eps: float = 1e-8
    """What Adam and AdamW add to the root of the mean squared gradient."""
    weight_decay: float = 5e-4
    """Of every learned tensor."""
    schedule: Literal["warm-up-cosine", "cosine"] = "warm-up-cosine"
    """How the learning rate changes; see ``optimizer.SCHEDULES``."""
    first_lr: float = 1e-5
    """Learning rate of the first epoch, where the schedule warms up."""
    last_lr: float = 0.0
    """What the learning rate falls to along ``cosine``."""
    augment: bool = True
    """Whether training images are cropped and mirrored at random."""
    smallest_crop: float = 0.08
    """Smallest part of an image's area that a random crop keeps."""
    views: int = 0
    """Crops of each image that are drawn and encoded once and shown in turn, for methods that leave
    the image tower as it is; 0 draws another in every epoch."""
    steps: int = 0
    """Steps in all, where the recipe counts those instead of epochs."""

    @property
    def trains(self) -> bool:
        """Whether there is anything to train by gradient."""
        return self.epochs > 0 or self.steps > 0

    def for_images(self, images: int) -> "Recipe":
        """With ``epochs``, where the recipe has steps: as many whole ones as make at least those.

        Args:
            images: in an epoch.
        """
        if not self.steps:
            return self
        in_an_epoch = max(1, images // self.batch_size)
        return replace(self, epochs=ceil(self.steps / in_an_epoch))


class Method(nn.Module, ABC):
    """Holds only what it learns: CLIP is handed to each call and never stored.

    So ``parameters()`` is what the optimizer gets and ``state_dict()`` is the checkpoint.
    Subclasses are final.

    Args:
        clip: the frozen backbone, for sizes and embeddings.
        class_names: in the order of the labels.
        config: the method's settings.
    """

    name: ClassVar[str]
    """What the user types."""
    summary: ClassVar[str]
    """One line for the list of methods."""
    paper: ClassVar[str]
    """Where it was published."""
    fidelity: ClassVar[Literal["faithful", "repaired", "reconstruction"]]
    """As the authors' public code; or with a fault of it mended; or with details of our own where
    the publication leaves them open, so that a result is no reproduction."""
    difference: ClassVar[str] = ""
    """What was mended, or what is our own, in a few words; empty where it is faithful."""

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
    def class_specific(cls, config: "Method.Config") -> str | None:
        """What it learns of its own classes, for which it cannot take others; None if nothing.

        Where it is None, no learned tensor's shape or meaning may depend on the class names.
        """
        return None

    @classmethod
    @abstractmethod
    def recipe(cls, shots: int) -> Recipe:
        """The published recipe for ``shots`` training images per class."""

    def count_parameters(self, shots: int) -> int:
        """How many numbers it learns from ``shots`` training images per class."""
        return sum(parameter.numel() for parameter in self.parameters())

    def resize_for(self, state: Mapping[str, Any]) -> None:
        """Take the sizes of a checkpoint where they depend on the training images.

        Args:
            state: the checkpoint that is about to be loaded, not yet checked.
        """

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint, after making room for it."""
        self.resize_for(state_dict)
        return super().load_state_dict(state_dict, *args, **kwargs)

    def prepare(self, clip: CLIP, examples: Examples) -> None:
        """Work out, before any step, what is not learned by gradient.

        Args:
            clip: the frozen backbone.
            examples: training and validation images.
        """

    def epoch_weights(self, epochs: int) -> Sequence[float] | None:
        """How much the parameters after each epoch count in the result, which is their mean.

        Args:
            epochs: in all.

        Returns:
            As many weights, whose sum is 1; None if the last epoch alone counts.
        """
        return None

    def finish(self, clip: CLIP, examples: Examples) -> None:
        """Choose, after the last step, what can only be chosen then.

        Args:
            clip: the frozen backbone.
            examples: training and validation images.
        """

    @abstractmethod
    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score ``[batch, 3, side, side]`` images: ``[batch, classes]``."""

    def loss(self, clip: CLIP, images: Images, labels: Labels) -> Scalar:
        """What training lowers: cross-entropy, unless the method has another.

        Args:
            clip: the frozen backbone.
            images: ``[batch, 3, side, side]``.
            labels: ``[batch]``, indices of classes.
        """
        return cross_entropy(self(clip, images), labels)

    def backward(self, clip: CLIP, images: Images, labels: Labels) -> Scalar:
        """Leave in the parameters what the optimizer follows: the gradient of the loss.

        On several processes it is that of all their images; see ``average_gradients``.

        Args:
            clip: the frozen backbone.
            images: ``[batch, 3, side, side]``, this process's share.
            labels: ``[batch]``, indices of classes.

        Returns:
            The loss of this process's share.
        """
        return follow(self, self.loss(clip, images, labels))

    @abstractmethod
    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """What is needed to score one image, without text and without other images.

        Args:
            clip: the backbone it was trained with.
            examples: the training images, for prompts that depend on images.
        """

    def freeze_for_new_classes(self, clip: CLIP, earlier: Frozen) -> Frozen:
        """``freeze`` for other classes and without images.

        Args:
            clip: the backbone it was trained with.
            earlier: what the same learned tensors were frozen to for the classes they were
                learned with; what it keeps of the training images stays.

        Raises:
            RequestError: it has kept too little.
        """
        return self.freeze(clip, Examples(clip, ()))

    def with_class_names(self, clip: CLIP, class_names: Sequence[str], **changes: Any) -> "Method":
        """A method with the same learned tensors for other classes; this one stays as it is.

        Args:
            clip: the backbone it was trained with.
            class_names: the other classes, at least two.
            changes: settings that go with them, such as ``template``.

        Raises:
            RequestError: a learned tensor is of the classes themselves, unusable class names, or an
                impossible setting.
        """
        from crossprompt.methods import build_from  # which itself imports Method

        bound = self.class_specific(self.config)
        require(
            bound is None,
            f"what {self.name} has learned ({bound}) is of its own {len(self.class_names)} classes "
            "and does not apply to others; train it on those, or choose a method or setting that "
            "learns one prompt for all classes",
        )
        other = build_from(self.name, clip, class_names, {**self.config.to_json(), **changes})
        learned, shapes = self.state_dict(), {k: x.shape for k, x in other.state_dict().items()}
        others = [key for key, value in learned.items() if shapes.get(key) != value.shape]
        require(
            not others and len(learned) == len(shapes),
            f"with {', '.join(changes)} {self.name} learns other tensors than it has learned "
            f"({', '.join(others)}); leave that setting as it is, or train it anew",
        )
        other.load_state_dict(learned, strict=True)
        return other.train(self.training)


def follow(method: Method, loss: Scalar) -> Scalar:
    """The loss, its gradient left in the parameters, averaged over the processes."""
    loss.backward()
    distributed.average_gradients(method.parameters())
    return loss


class FeatureMethod(Method):
    """A method that leaves the image tower as it is, and so needs every image encoded only once.

    The training hands it features instead of images.
    """

    @abstractmethod
    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        """Score image features ``[batch, embed]``, not normalized: ``[batch, classes]``."""

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images by their features."""
        return self.score(clip, clip.encode_images(images))

    def loss(self, clip: CLIP, images: Images, labels: Labels) -> Scalar:
        """``loss_on_features`` of the images' features."""
        return self.loss_on_features(clip, clip.encode_images(images), labels)

    def loss_on_features(self, clip: CLIP, features: ImageFeatures, labels: Labels) -> Scalar:
        """What training lowers: cross-entropy, unless the method has another.

        Args:
            clip: the frozen backbone.
            features: ``[batch, embed]``, not normalized.
            labels: ``[batch]``, indices of classes.
        """
        return cross_entropy(self.score(clip, features), labels)

    def backward(self, clip: CLIP, images: Images, labels: Labels) -> Scalar:
        """``backward_on_features`` of the images' features."""
        return self.backward_on_features(clip, clip.encode_images(images), labels)

    def backward_on_features(self, clip: CLIP, features: ImageFeatures, labels: Labels) -> Scalar:
        """``backward`` where the images are encoded already.

        Args:
            clip: the frozen backbone.
            features: ``[batch, embed]``, not normalized, of this process's share.
            labels: ``[batch]``, indices of classes.
        """
        return follow(self, self.loss_on_features(clip, features, labels))
