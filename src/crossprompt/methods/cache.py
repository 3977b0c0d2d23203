"""What Tip-Adapter and Tip-Adapter-F share: a cache of the training images, asked beside the class
texts. ``tip_adapter.py`` has the formula."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import TRAIN_FIRST, FeatureMethod
from crossprompt.methods.features import Examples, encode_crops
from crossprompt.methods.heads import Cache, Frozen
from crossprompt.methods.heads.cache import Keys, Values, ask
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Logits, Scalar

ALPHA, BETA = 1.17, 1.0
"""Without validation images, and while keys are learned."""
ALPHAS = tuple(0.1 + step * (3 - 0.1) / 20 for step in range(20))
BETAS = tuple(0.1 + step * (7 - 0.1) / 200 for step in range(200))
"""What is searched (utils.py:95 with configs/imagenet.yaml)."""
SMALLEST_CROP = 0.5
"""Part of an image's area that the authors' crops keep at least (main.py:157)."""


@dataclass(frozen=True)
class CacheConfig(FeatureMethod.Config):
    """Settings of a cache."""

    passes: int = 10
    """Random crops of each training image whose mean feature is its key; 0 takes the whole image
    once."""
    alpha: float | None = None
    """Weight of the cache; by default searched on the validation images, 1.17 without them."""
    beta: float | None = None
    """How fast a key falls silent with distance; by default searched on the validation images, 1
    without them."""
    template: tuple[str, ...] = PHOTO
    """One or more sentences with {} in place of the class name."""

    def check(self, owner: str) -> None:
        """Raise ``RequestError`` that names ``owner`` if a value is impossible."""
        require(self.passes >= 0, f"{owner}: passes is {self.passes}, expected 0 or more")
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            fine = value is None or value >= 0
            require(fine, f"{owner}: {name} is {value}, expected 0 or more")
        check_templates(self.template, owner)


class CacheMethod(FeatureMethod):
    """Base of the methods that ask a cache; subclasses say whether its keys are trained."""

    keys: Tensor
    values: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: CacheConfig) -> None:
        super().__init__(clip, class_names, config)
        self.config: CacheConfig = config
        self.texts = ClassTexts(clip, class_names, config.template)
        self.hold(torch.empty(0, clip.config.embed))
        self.register_buffer("values", torch.empty(0, len(class_names)))
        self.register_buffer("alpha", torch.tensor(ALPHA if config.alpha is None else config.alpha))
        self.register_buffer("beta", torch.tensor(BETA if config.beta is None else config.beta))

    @abstractmethod
    def hold(self, keys: Keys) -> None:
        """Set ``keys``, as what is trained or as what stays."""

    @classmethod
    def class_specific_parameters(cls, config: FeatureMethod.Config) -> str | None:
        """Its cache."""
        return "every training image votes for its class"

    def resize_for(self, state: Mapping[str, Any]) -> None:
        """For as many keys as the checkpoint has."""
        if needs_room(state, self.keys, self.values):
            self.hold(self.keys.detach().new_empty(state["keys"].shape))
            self.values = self.values.new_empty(state["values"].shape)

    def prepare(self, clip: CLIP, examples: Examples) -> None:
        """Fill the cache."""
        self.texts.keep(clip)
        self.hold(encode_keys(clip, examples, self.config.passes))
        self.values = encode_values(clip, examples, len(self.class_names))

    def finish(self, clip: CLIP, examples: Examples) -> None:
        """Search alpha and beta on the validation images, if there are any."""
        scores = Scores.of(clip, examples, self.texts.features(clip), self.keys, self.values)
        alpha, beta = scores.search(self.config)
        self.alpha.fill_(alpha)
        self.beta.fill_(beta)

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        """Score image features against the class texts and the cache."""
        classes, cache = self.texts.features(clip), (self.keys, self.values, self.alpha, self.beta)
        return score(clip, features, classes, *cache)

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """The class texts' features and the cache."""
        require(len(self.keys) > 0, f"the cache of {self.name} is empty; {TRAIN_FIRST}")
        classes, cache = self.texts.features(clip), (self.keys, self.values, self.alpha, self.beta)
        return Cache(normalize(classes, dim=-1), clip.logit_scale.float().exp(), *cache)


def encode_keys(clip: CLIP, examples: Examples, passes: int) -> Keys:
    """The mean feature of each training image over random crops, of length 1.

    Args:
        clip: the frozen backbone.
        examples: the training images.
        passes: crops of each; other ones than any epoch of a training shows. 0 takes the whole
            image.
    """
    if passes == 0:
        return normalize(examples.train_features.features, dim=-1)
    epochs = range(1 - passes, 1)
    crops = encode_crops(examples.train, clip, examples.seed, SMALLEST_CROP, epochs)
    return normalize(crops.mean(0), dim=-1)


def encode_values(clip: CLIP, examples: Examples, classes: int) -> Values:
    """The training images' labels, one-hot."""
    labels = torch.tensor([item.label for item in examples.train], device=clip.device)
    return one_hot(labels, classes).float()


def needs_room(state: Mapping[str, Any], keys: Tensor, values: Tensor) -> bool:
    """Whether a checkpoint differs from these keys and values in their number, and only in that."""
    found = [tuple(state[key].shape) for key in ("keys", "values") if key in state]
    rows = found[0][:1] if found else ()
    fits = found == [(*rows, *keys.shape[1:]), (*rows, *values.shape[1:])]
    return fits and rows != keys.shape[:1]


def score(
    clip: CLIP,
    features: ImageFeatures,
    classes: ClassFeatures,
    keys: Keys,
    values: Values,
    alpha: Scalar,
    beta: Scalar,
) -> Logits:
    """Score image features against class texts and a cache, see this file's formula."""
    near = ask(normalize(features.float(), dim=-1), keys, values, beta)
    return clip.logits(features, classes) + alpha * near


@dataclass(frozen=True)
class Scores:
    """What the parts of the formula say of the validation images."""

    features: ImageFeatures
    """``[images, embed]``, of length 1."""
    labels: Tensor
    """``[images]``."""
    texts: Logits
    """What the class texts say."""
    keys: Keys
    """Of the cache."""
    values: Values
    """Of the cache."""

    @classmethod
    def of(
        cls, clip: CLIP, examples: Examples, classes: ClassFeatures, keys: Keys, values: Values
    ) -> "Scores":
        """Encode the validation images."""
        val = examples.val_features
        labels = torch.tensor(val.labels, dtype=torch.long, device=keys.device)
        texts = clip.logits(val.features, classes)
        return cls(normalize(val.features, dim=-1), labels, texts, keys, values)

    def search(self, config: CacheConfig) -> tuple[float, float]:
        """Alpha and beta of the best accuracy, the first of equals; fixed without images.

        Args:
            config: those that are set there are not searched.
        """
        if len(self.labels) == 0:
            alpha = ALPHA if config.alpha is None else config.alpha
            return alpha, BETA if config.beta is None else config.beta
        alphas = ALPHAS if config.alpha is None else (config.alpha,)
        betas = BETAS if config.beta is None else (config.beta,)
        best, chosen = -1, (alphas[0], betas[0])
        for beta in betas:
            near = ask(self.features, self.keys, self.values, torch.tensor(beta).to(self.keys))
            for alpha in alphas:
                right = int(((self.texts + alpha * near).argmax(-1) == self.labels).sum())
                if right > best:
                    best, chosen = right, (alpha, beta)
        return chosen
