"""Tip-Adapter: a cache of the training images' features votes beside the class texts.

Zhang et al., ECCV 2022, https://arxiv.org/abs/2207.09519. The score of an image feature f is

    scale f W + alpha exp(-beta (1 - f K)) V

with the class texts W, the cache's keys K (features of the training images, the mean over ten
random crops of each) and values V (their labels, one-hot). Deviations from the authors' public
code:

* ``scale`` is the backbone's own exp(logit_scale), which is their 100 for CLIP's checkpoints.
* One search grid for alpha and beta, the authors' for most data sets; theirs is wider for a few.
* Without validation images alpha and beta are the start values of the authors' search.
"""

from dataclasses import dataclass

from crossprompt.methods.base import Recipe
from crossprompt.methods.cache import CacheConfig, CacheMethod
from crossprompt.methods.heads.cache import Keys


class TipAdapter(CacheMethod):
    """A cache of the training images' features; nothing is trained."""

    name = "tip_adapter"
    summary = "a cache of the training images' features beside the class texts; nothing is trained"
    paper = "Zhang et al., ECCV 2022, arXiv 2207.09519"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(CacheConfig):
        """Settings of Tip-Adapter."""

        def __post_init__(self) -> None:
            self.check("tip_adapter")

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """Nothing to train."""
        return Recipe(epochs=0, batch_size=256, lr=0.0)

    def hold(self, keys: Keys) -> None:
        """Set the keys, which are not trained."""
        self.register_buffer("keys", keys)
