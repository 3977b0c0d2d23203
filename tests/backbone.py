"""A small random CLIP with as many blocks in both towers, and small image files to go with it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from crossprompt.clip.model import CLIP, CLIPConfig, ImageConfig, TextConfig
from crossprompt.data.dataset import Item
from tests.clip.random_clip import SMALL, make_clip

NAMES = ("yorkshire terrier", "cat", "hot air balloon", "dogs")
"""Class names of different lengths, so that the texts are in several buckets."""
EVEN = replace(
    SMALL,
    image=replace(SMALL.image, blocks=3),
    text=replace(SMALL.text, blocks=3, context=77),
)

VIT_B_16 = CLIPConfig(
    image=ImageConfig(side=224, patch=16, width=768, blocks=12, heads=12, mlp_width=3072),
    text=TextConfig(vocabulary=49408, context=77, width=512, blocks=12, heads=8, mlp_width=2048),
    embed=512,
)
"""The sizes that the methods were published with."""


@cache
def even_clip() -> CLIP:
    """One for all tests: it is frozen, and the contract suite proves that nothing changes it."""
    return make_clip(EVEN)


def with_blocks(blocks: int) -> CLIPConfig:
    """Narrow towers of so many blocks each."""
    image = replace(SMALL.image, blocks=blocks, width=64, heads=1, mlp_width=64)
    text = replace(SMALL.text, blocks=blocks, mlp_width=64)
    return replace(SMALL, image=image, text=text)


def random_images(count: int, seed: int = 0, side: int = EVEN.image.side) -> Tensor:
    """As after preprocessing: ``[count, 3, side, side]``."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def write_items(folder: Path, labels: list[int]) -> list[Item]:
    """One file of random blocks of color for each label."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(len(labels))
    items = []
    for number, label in enumerate(labels):
        blocks = torch.randint(256, (8, 8, 3), dtype=torch.uint8, generator=generator)
        path = folder / f"{number}.png"
        Image.fromarray(blocks.numpy()).resize((40, 36), Image.Resampling.NEAREST).save(path)
        items.append(Item(path, label))
    return items
