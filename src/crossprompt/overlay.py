"""A picture with what mattered in it laid over it in red."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from crossprompt.explain import Map

SIDE = 336
"""Least height and width of a shown picture, in pixels."""
RED = (220, 30, 20)
STRENGTH = 0.75
"""Of the red where it is strongest."""
CAPTION = 16
"""Height of the letters, in pixels."""


def overlay(picture: Image.Image, weights: Map, caption: str) -> Image.Image:
    """What a classifier saw, and beside it where it looked.

    Args:
        picture: square and RGB, as it was cropped for the classifier.
        weights: one number for each patch, 0 or more; the largest is shown as full red.
        caption: below both.
    """
    side = picture.width * -(-SIDE // picture.width)  # whole pixels, so that small ones stay sharp
    seen = picture.resize((side, side), Image.Resampling.NEAREST)
    strength = STRENGTH * _enlarged(weights, side)[..., None]
    grey = np.asarray(seen.convert("L"), dtype=np.float32)[..., None]
    mixed = (1 - strength) * (0.6 * grey + 90) + strength * np.array(RED)
    looked = Image.fromarray(mixed.astype(np.uint8))
    sheet = Image.new("RGB", (2 * side + CAPTION, side + 2 * CAPTION), "white")
    sheet.paste(seen, (0, 0))
    sheet.paste(looked, (side + CAPTION, 0))
    font = ImageFont.load_default(CAPTION)
    ImageDraw.Draw(sheet).text((4, side + CAPTION // 3), caption, "black", font)
    return sheet


def _enlarged(weights: Map, side: int) -> np.ndarray:
    """Between 0 and 1, smooth from patch to patch: ``[side, side]``."""
    largest = weights.max()
    shares = weights / largest if largest > 0 else weights
    size = (side, side)
    smooth = torch.nn.functional.interpolate(shares[None, None], size, mode="bicubic")
    return smooth[0, 0].clamp(0, 1).numpy()
