"""CLIP-LoRA: low-rank changes to the query, key and value projections of both towers.

Zanella and Ben Ayed, CVPR workshops 2024, https://arxiv.org/abs/2405.18541. In every block, each of
the three projections W becomes W + alpha / sqrt(rank) B A, with A and B trained and B zero at the
start; in training, a quarter of A's input is dropped. Deviations from the authors' public code:

* It trains whole epochs, at least 500 steps for each shot, and drops an incomplete last batch; the
  authors stop within an epoch.
* The common beginning of all class texts is computed once, so its dropout is the same for all.

The factor is the code's: the paper's is alpha / rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize

from crossprompt.clip.blocks import Attention, Project
from crossprompt.clip.model import CLIP
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Frozen, Merged
from crossprompt.methods.heads.merged import encode_images
from crossprompt.methods.prompts import check_at_least
from crossprompt.methods.templates import PHOTO, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ClassFeatures, Images, Logits


class LowRank(nn.Module):
    """The factors A (``down``) and B (``up``) for the three projections of a tower's blocks.

    Args:
        blocks: number of blocks.
        width: of the tokens.
        rank: of every change.
        scale: factor of every change.
        dropped: dropout of the input in training.
    """

    def __init__(self, blocks: int, width: int, rank: int, scale: float, dropped: float) -> None:
        super().__init__()
        bound = width**-0.5  # bound of a linear layer's start values
        self.down = nn.Parameter(torch.empty(blocks, 3, rank, width).uniform_(-bound, bound))
        self.up = nn.Parameter(torch.zeros(blocks, 3, width, rank))
        self.scale, self.dropped = scale, dropped

    def projects(self) -> list[Project]:
        """The changed projection of every block."""
        return [
            partial(self._project, *of_block) for of_block in zip(self.down, self.up, strict=True)
        ]

    def _project(
        self,
        down: Float[Tensor, "3 rank width"],
        up: Float[Tensor, "3 width rank"],
        attention: Attention,
        x: Float[Tensor, "rows tokens width"],
        parts: slice,
    ) -> Float[Tensor, "rows tokens parts"]:
        factors = zip(down[parts].to(x.dtype), up[parts].to(x.dtype), strict=True)
        changes = [dropout(x, self.dropped, self.training) @ a.T @ b.T for a, b in factors]
        return attention.project(x, parts) + self.scale * torch.cat(changes, dim=-1)


class CLIPLoRA(Method):
    """Low-rank changes to the attention of every block of both towers."""

    name = "clip_lora"
    summary = "low-rank changes to the attention of both towers, merged into the weights"
    paper = "Zanella and Ben Ayed, CVPR workshops 2024, arXiv 2405.18541"
    fidelity = "faithful"

    @dataclass(frozen=True)
    class Config(Method.Config):
        rank: int = 2
        """Rank of every change."""
        alpha: float = 1.0
        """Changes are multiplied by alpha / sqrt(rank)."""
        dropout: float = 0.25
        """Dropout of the changes' input in training, 0 to less than 1."""
        template: tuple[str, ...] = PHOTO
        """The class text: one sentence with {} in place of the class name."""

        def __post_init__(self) -> None:
            check_at_least("clip_lora", self, rank=1)
            fine = isfinite(self.alpha) and self.alpha > 0
            require(fine, f"clip_lora: alpha is {self.alpha}, expected a number above 0")
            fine = 0 <= self.dropout < 1
            require(fine, f"clip_lora: dropout is {self.dropout}, expected 0 to less than 1")
            check_templates(self.template, "clip_lora")
            require(
                len(self.template) == 1,
                f"clip_lora: template has {len(self.template)} sentences, expected one: the text "
                "tower is trained, so every sentence would be encoded in every step",
            )

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: CLIPLoRA.Config = config
        narrowest = min(clip.config.image.width, clip.config.text.width)
        require(
            config.rank <= narrowest,
            f"clip_lora: rank is {config.rank} but a tower of this backbone has width {narrowest}; "
            "choose a smaller one",
        )
        texts = [config.template[0].replace("{}", name) for name in class_names]
        self.class_texts = clip.tokenizer.tokenize_texts(texts, class_names)
        settings = config.rank, config.alpha / sqrt(config.rank), config.dropout
        self.image, self.text = (
            LowRank(tower.blocks, tower.width, *settings)
            for tower in (clip.config.image, clip.config.text)
        )

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """AdamW as published, in steps: 500 for each shot."""
        return Recipe(
            epochs=0,
            steps=500 * shots,
            batch_size=32,
            lr=2e-4,
            optimizer="adamw",
            weight_decay=1e-2,
            schedule="cosine",
            last_lr=1e-6,
        )

    def forward(self, clip: CLIP, images: Images) -> Logits:
        features = encode_images(clip, images, self.image.projects())
        return clip.logits(features, self._encode_classes(clip))

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        return Merged(
            clip,
            self.image.down,
            self.image.scale * self.image.up,
            normalize(self._encode_classes(clip).float(), dim=-1),
            clip.logit_scale.float().exp(),
        )

    def _encode_classes(self, clip: CLIP) -> ClassFeatures:
        tokens = clip.text.enter(clip.text.embed(self.class_texts))
        for block, project in zip(clip.text.blocks, self.text.projects(), strict=True):
            tokens = block(tokens, project)
        return clip.text.pool(tokens)[0]
