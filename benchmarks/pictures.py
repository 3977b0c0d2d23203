"""JPEG files with the dimensions and about the bytes of a photo."""

from pathlib import Path

import torch
from PIL import Image
from torch.nn.functional import interpolate

GRAINS = (8, 32, 128)
"""Sides of the superimposed random patterns, coarse to fine."""
QUALITY = 90


def write_pictures(folder: Path, count: int, width: int = 500, height: int = 375) -> list[Path]:
    """Write different pictures: smooth areas, edges and some grain."""
    generator = torch.Generator().manual_seed(0)
    paths = []
    for number in range(count):
        pixels = torch.zeros(1, 3, height, width)
        for grain in GRAINS:
            pattern = torch.rand(1, 3, grain, grain, generator=generator)
            pixels += interpolate(pattern, (height, width), mode="bilinear") * (GRAINS[0] / grain)
        pixels = (255 * pixels / pixels.amax()).byte()[0].permute(1, 2, 0)
        path = folder / f"{number}.jpg"
        Image.fromarray(pixels.numpy()).save(path, quality=QUALITY)
        paths.append(path)
    return paths
