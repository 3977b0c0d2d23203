"""Linear probe: logistic regression on frozen image features, without any text.

Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020, appendix A.3. Deviations: features are
normalized, and the inverse regularization C is searched on the validation images alone, on a log
scale.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.base import TRAIN_FIRST, FeatureMethod, Recipe
from crossprompt.methods.features import Examples, Features
from crossprompt.methods.heads import Frozen, StaticPrompts
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImageFeatures, Logits

Regression = Any
"""scikit-learn's ``LogisticRegression``, imported where it is used."""
C_WITHOUT_VALIDATION = 30.0
"""About 0.3 on features of norm 10, the setting that CLIP's authors found typical."""
C_SEARCHED = tuple(10.0**power for power in np.arange(-1.0, 4.01, 0.5))
"""Values of C to choose from where there are validation images."""
ITERATIONS = 1000
"""Largest number of iterations of L-BFGS, as published."""


class LinearProbe(FeatureMethod):
    """Logistic regression on image features."""

    name = "linear_probe"
    summary = "logistic regression on frozen image features, no text"
    paper = "Radford et al., ICML 2021, arXiv 2103.00020"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(FeatureMethod.Config):
        c: float | None = None
        """Inverse strength of the regularization; by default searched on the validation images."""

        def __post_init__(self) -> None:
            fine = self.c is None or self.c > 0
            require(fine, f"linear_probe: c is {self.c}, expected more than 0")

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: LinearProbe.Config = config
        self.weight = nn.Parameter(torch.zeros(len(class_names), clip.config.embed))
        self.bias = nn.Parameter(torch.zeros(len(class_names)))

    @classmethod
    def class_specific_parameters(cls, config: FeatureMethod.Config) -> str | None:
        return "weights of its own for every class"

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """Solved, not trained by gradient."""
        return Recipe(epochs=0, batch_size=32, lr=0.1)

    def prepare(self, clip: CLIP, examples: Examples) -> None:
        """Fit the regression to the training images' features.

        Raises:
            RequestError: a class has no training image.
        """
        found = {item.label for item in examples.train}
        missing = [name for label, name in enumerate(self.class_names) if label not in found]
        require(
            not missing,
            f"linear_probe: found no training image of {', '.join(map(repr, missing[:5]))}, "
            "expected one of every class; add some or leave the class out",
        )
        train, validation = examples.train_features, examples.val_features
        if self.config.c is not None:
            solution = _fit(train, self.config.c)
        elif len(validation.labels) == 0:
            solution = _fit(train, C_WITHOUT_VALIDATION)
        else:
            fits = [_fit(train, c) for c in C_SEARCHED]
            # the first of equals is the most regularized
            solution = max(fits, key=lambda x: x.score(validation.normalized, validation.labels))
        weight, bias = _per_class(solution)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(weight))
            self.bias.copy_(torch.from_numpy(bias))

    def score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        """Score normalized image features."""
        return normalize(features.float(), dim=-1) @ self.weight.T + self.bias

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        require(bool(self.weight.any()), f"linear_probe has no weights yet; {TRAIN_FIRST}")
        return StaticPrompts({}, self.weight, torch.ones(()), self.bias)


def _fit(features: Features, c: float) -> Regression:
    # deferred: scikit-learn takes a second to import, and only this method needs it
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(C=c, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        # the limit of iterations is part of the published method
        warnings.simplefilter("ignore", ConvergenceWarning)
        # with one image of each class, scikit-learn suspects a regression
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return regression.fit(features.normalized, features.labels)


def _per_class(regression: Regression) -> tuple[np.ndarray, np.ndarray]:
    """One row per class; for two classes scikit-learn keeps a single row, their difference."""
    weight, bias = regression.coef_, regression.intercept_
    if weight.shape[0] == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias
