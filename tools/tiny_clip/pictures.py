"""Batches of pre-training pictures: random place, size, rotation, background and color."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def batch(pictures: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Draw normalized training images.

    Args:
        pictures: ``[batch, 4, height, width]`` uint8, RGB and opacity.
        side: height and width of the result in pixels.
        generator: source of every random choice.

    Returns:
        ``[batch, 3, side, side]``, normalized as for CLIP.
    """
    count = pictures.shape[0]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    size = torch.exp(uniform(math.log(0.7), math.log(1.4)))
    turn = uniform(-0.35, 0.35)
    flip = 1 - 2 * (uniform(0, 1) < 0.5).float()
    shift = uniform(-0.2, 0.2, 2)
    cosine, sine = turn.cos() / size, turn.sin() / size
    rows = [torch.stack([cosine * flip, -sine * flip, shift[:, 0]], 1)]
    rows += [torch.stack([sine, cosine, shift[:, 1]], 1)]
    grid = affine_grid(torch.stack(rows, 1), [count, 4, side, side], align_corners=False)
    color, opacity = (pictures / 255).split((3, 1), 1)
    moved = grid_sample(torch.cat([color * opacity, opacity], 1), grid, align_corners=False)
    white = uniform(0, 1, 1, 1, 1) < 0.5
    background = torch.where(white, torch.ones(()), uniform(0.35, 1, 3, 1, 1))
    images = moved[:, :3] + (1 - moved[:, 3:]) * background
    gray = uniform(0, 1, 1, 1, 1) < 0.15
    images = torch.where(gray, images.mean(1, keepdim=True).expand_as(images), images)
    images = (images * uniform(0.8, 1.2, 3, 1, 1) + uniform(-0.1, 0.1, 1, 1, 1)).clamp(0, 1)
    return (images - MEAN) / DEVIATION
