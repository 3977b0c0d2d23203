"""Tip-Adapter-F: Tip-Adapter with trained cache keys.

Zhang et al., ECCV 2022, https://arxiv.org/abs/2207.09519. Deviations from the authors' public code,
beside those of ``tip_adapter.py``:

* The last epoch's keys are taken. The authors' code takes the epoch that is best on the *test*
  images (main.py:95), so a result may lie below the published one.
* The crops of ten epochs are drawn and encoded once and shown in turn, which takes seconds; theirs
  are drawn anew in each of the twenty (``--views 0``).
* 20 epochs everywhere; the authors' code has 100 for EuroSAT.
"""

from dataclasses import dataclass

from torch import nn

from crossprompt.methods.base import Recipe
from crossprompt.methods.cache import SMALLEST_CROP, CacheConfig, CacheMethod
from crossprompt.methods.heads.cache import Keys


class TipAdapterF(CacheMethod):
    """A cache whose keys start from the training images' features and are trained."""

    name = "tip_adapter_f"
    summary = "Tip-Adapter's cache with its keys trained"
    paper = "Zhang et al., ECCV 2022, arXiv 2207.09519"
    fidelity = "repaired"
    difference = "the last epoch is taken, the authors' code takes the best on the test images"

    @dataclass(frozen=True)
    class Config(CacheConfig):
        """Settings of Tip-Adapter-F."""

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
