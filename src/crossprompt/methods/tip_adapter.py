"""Tip-Adapter(-F): a cache of the training images' features votes beside the class texts.

Zhang et al., ECCV 2022, https://arxiv.org/abs/2207.09519. The score of an image feature f is

    scale f W + alpha exp(-beta (1 - f K)) V

with the class texts W, the cache's keys K (features of the training images, the mean over ten
random crops of each) and values V (their labels, one-hot). Deviations from the authors' public
code:

* ``scale`` is the backbone's own exp(logit_scale), which is their 100 for CLIP's checkpoints.
* One search grid for alpha and beta, the authors' for most data sets; theirs is wider for a few.
* Tip-Adapter-F keeps the last epoch; the authors keep the best on the test images.
* Without validation images alpha and beta are the start values of the authors' search.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import TRAIN_FIRST, FeatureMethod, Recipe
from crossprompt.methods.features import Examples, encode_crops
from crossprompt.methods.heads import Cache, Frozen
from crossprompt.methods.heads.cache import Keys, ask
from crossprompt.methods.prompts import check_at_least
from crossprompt.methods.templates import PHOTO, ClassTexts, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImageFeatures, Logits

ALPHA, BETA = 1.17, 1.0
"""Values without validation images, and in training."""
ALPHAS = tuple(0.1 + step * (3 - 0.1) / 20 for step in range(20))
BETAS = tuple(0.1 + step * (7 - 0.1) / 200 for step in range(200))
"""Search grid (utils.py:95 with configs/imagenet.yaml)."""
SMALLEST_CROP = 0.5
"""Smallest part of an image's area that a crop keeps (main.py:157)."""


@dataclass(frozen=True)
class CacheConfig(FeatureMethod.Config):
    """Settings of a cache."""

    passes: int = 10
    """Random crops of each training image whose mean feature is its key; 0 takes the whole image
    once."""
    alpha: float | None = None
    """Weight of the cache; by default searched on the validation images, 1.17 without them."""
    beta: float | None = None
    """Decay of a key's weight with distance; by default searched on the validation images, 1
    without them."""
    template: tuple[str, ...] = PHOTO
    """One or more sentences with {} in place of the class name."""

    def check(self, owner: str) -> None:
        """Raise ``RequestError`` that names ``owner`` if a value is impossible."""
        check_at_least(owner, self, passes=0, alpha=0, beta=0)
        check_templates(self.template, owner)


class CacheMethod(FeatureMethod):
    """Base of the methods with a cache; subclasses decide whether its keys are trained."""

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
        """Set ``keys``, as a parameter or as a buffer."""

    @classmethod
    def class_specific_parameters(cls, config: FeatureMethod.Config) -> str | None:
        return "every training image votes for its class"

    def resize_for(self, state: Mapping[str, Any]) -> None:
        """Resize the cache to the checkpoint's number of keys."""
        found = [tuple(state[key].shape) for key in ("keys", "values") if key in state]
        rows = found[0][:1] if found else ()
        fits = found == [(*rows, *self.keys.shape[1:]), (*rows, *self.values.shape[1:])]
        if fits and rows != self.keys.shape[:1]:  # ``load_state_dict`` refuses what does not fit
            self.hold(self.keys.detach().new_empty(state["keys"].shape))
            self.values = self.values.new_empty(state["values"].shape)

    def prepare(self, clip: CLIP, examples: Examples) -> None:
        """Fill the cache."""
        super().prepare(clip, examples)
        passes = self.config.passes
        if passes == 0:
            features = examples.train_features.features
        else:  # crops of epochs that training does not use
            crops = SMALLEST_CROP, range(1 - passes, 1)
            features = encode_crops(examples.train, clip, examples.seed, *crops).mean(0)
        self.hold(normalize(features, dim=-1))
        labels = torch.tensor([item.label for item in examples.train], device=clip.device)
        self.values = one_hot(labels, len(self.class_names)).float()

    def finish(self, clip: CLIP, examples: Examples) -> None:
        """Search alpha and beta, unless they are set, for the best accuracy on validation images.

        The first of equals is taken; without validation images, the default.
        """
        val, config = examples.val_features, self.config
        alphas, betas = (ALPHAS, BETAS) if val.labels else ((ALPHA,), (BETA,))
        alphas = alphas if config.alpha is None else (config.alpha,)
        betas = betas if config.beta is None else (config.beta,)
        labels = torch.tensor(val.labels, dtype=torch.long, device=self.keys.device)
        texts = clip.logits(val.features, self.texts.features(clip))
        features, best = normalize(val.features, dim=-1), -1
        for beta in betas:
            near = ask(features, self.keys, self.values, torch.tensor(beta).to(self.keys))
            for alpha in alphas:
                correct = int(((texts + alpha * near).argmax(-1) == labels).sum())
                if correct > best:
                    best, chosen = correct, (alpha, beta)
        self.alpha.fill_(chosen[0])
        self.beta.fill_(chosen[1])

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        unit = normalize(features.float(), dim=-1)
        near = ask(unit, self.keys, self.values, self.beta)
        return clip.logits(features, self.texts.features(clip)) + self.alpha * near

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        require(len(self.keys) > 0, f"the cache of {self.name} is empty; {TRAIN_FIRST}")
        return Cache(
            class_weights=normalize(self.texts.features(clip), dim=-1),
            scale=clip.logit_scale.float().exp(),
            keys=self.keys,
            values=self.values,
            alpha=self.alpha,
            beta=self.beta,
        )


class TipAdapter(CacheMethod):
    """A cache of the training images' features; nothing is trained."""

    name = "tip_adapter"
    summary = "a cache of the training images' features beside the class texts; nothing is trained"
    paper = "Zhang et al., ECCV 2022, arXiv 2207.09519"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(CacheConfig):
        def __post_init__(self) -> None:
            self.check("tip_adapter")

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """Nothing to train."""
        return Recipe(epochs=0, batch_size=256, lr=0.0)

    def hold(self, keys: Keys) -> None:
        """Set the keys, which are not trained."""
        self.register_buffer("keys", keys)


class TipAdapterF(CacheMethod):
    """A cache whose keys start from the training images' features and are trained."""

    name = "tip_adapter_f"
    summary = "Tip-Adapter's cache with its keys trained"
    paper = "Zhang et al., ECCV 2022, arXiv 2207.09519"
    fidelity = "repaired"
    difference = "the last epoch is taken, the authors' code takes the best on the test images"

    @dataclass(frozen=True)
    class Config(CacheConfig):
        def __post_init__(self) -> None:
            self.check("tip_adapter_f")

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """AdamW with PyTorch's weight decay and a cosine schedule per step."""
        return Recipe(
            epochs=20,
            batch_size=256,
            lr=0.001,
            optimizer="adamw",
            eps=1e-4,
            weight_decay=0.01,
            schedule="cosine",
            smallest_crop=SMALLEST_CROP,
            views=10,
        )

    def count_parameters(self, shots: int) -> int:
        """One key for every training image."""
        return shots * len(self.class_names) * self.keys.shape[1]

    def hold(self, keys: Keys) -> None:
        """Set the keys, which are trained."""
        self.keys = nn.Parameter(keys)
