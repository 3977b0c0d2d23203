"""From an RGB picture to the image tower's input, for tests and for training."""

import json
import math
import random
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from crossprompt.data.transforms import MEAN, STD, PictureTransform, normalize
from crossprompt.errors import RequestError

Pixels = Float[Tensor, "3 side side"]
Box = tuple[int, int, int, int]
"""Left, upper, right, lower."""

SIDE = 224
"""Where a file does not say, as in ``transformers``."""
GAP_OF_CROPS = 1.5
"""``pixels.GAP`` for the smallest box that the training transform draws."""
TRIES = 10
"""Boxes drawn before the training transform falls back to the central one, as torchvision does."""


class Preprocess(PictureTransform):
    """What a checkpoint does to a picture, as a tensor; for training, with a box drawn at random.

    Its settings are those of ``PictureTransform``.
    """

    def enough_for_crops(self, smallest: float) -> int:
        """``enough`` for training.

        Args:
            smallest: area of a box, as a part of the picture's.
        """
        return max(self.enough, math.ceil(GAP_OF_CROPS * self.side / math.sqrt(smallest)))

    def __call__(self, image: Image.Image) -> Pixels:
        """The test transform: resize the shorter side, crop the center, normalize.

        Args:
            image: RGB.

        Raises:
            RequestError: the picture is not RGB.
        """
        return torch.from_numpy(self.pixels(image))

    def train(
        self,
        image: Image.Image,
        generator: random.Random,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: bool = True,
    ) -> Pixels:
        """The training transform: a random box, resized to the square, half of the time flipped.

        Args:
            image: RGB.
            generator: what all randomness is drawn from.
            scale: smallest and largest area of the box, as a part of the picture's.
            ratio: smallest and largest width / height of the box.
            flip: whether to mirror left and right with probability one half.

        Raises:
            RequestError: the picture is not RGB.
        """
        box = random_box(image.size, generator, scale, ratio)
        cropped = image.crop(box)
        if cropped.size != (self.side, self.side):
            cropped = cropped.resize((self.side, self.side), self.interpolation)
        if flip and generator.random() < 0.5:
            cropped = cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(normalize(cropped, self.mean, self.std))

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> "Preprocess":
        """Read a ``preprocessor_config.json``, or the ``processor_config.json`` in its place.

        Raises:
            RequestError: it is damaged, or asks for other steps than CLIP's.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            return _from_settings(found.get("image_processor", found))
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(f"{path} is not a preprocessor_config.json: {error!r}") from error

    @classmethod
    def from_open_clip(cls, path: str | PathLike[str], side: int) -> "Preprocess":
        """Read the ``preprocess_cfg`` of an ``open_clip_config.json``, if it has one.

        Args:
            path: the file.
            side: of the image tower's input, in pixels.

        Raises:
            RequestError: it is damaged, or asks for other steps than CLIP's.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8")).get("preprocess_cfg", {})
            if found.get("resize_mode", "shortest") != "shortest":
                raise RequestError(
                    f"{path}: its resize_mode is {found['resize_mode']}; expected shortest"
                )
            settings = {"image_mean": found.get("mean", MEAN), "image_std": found.get("std", STD)}
            resample = Image.Resampling[found.get("interpolation", "bicubic").upper()]
            return _from_settings(
                {"size": side, "crop_size": side, "resample": resample, **settings}
            )
        except RequestError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(f"{path} is not an open_clip_config.json: {error!r}") from error

    def save(self, path: str | PathLike[str]) -> None:
        """Write a ``preprocessor_config.json`` that ``from_file`` and ``transformers`` read."""
        settings = {
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": self.resize},
            "resample": int(self.interpolation),
            "do_center_crop": True,
            "crop_size": {"height": self.side, "width": self.side},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }
        Path(path).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def random_box(
    size: tuple[int, int],
    generator: random.Random,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box:
    """A box whose area is uniform in ``scale`` and whose log aspect ratio is uniform in ``ratio``.

    Where ten draws all stick out of a picture of ``size`` (width, height), the largest central box
    of an allowed ratio.
    """
    width, height = size
    for _ in range(TRIES):
        area = width * height * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        box_width, box_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            upper = generator.randint(0, height - box_height)
            left = generator.randint(0, width - box_width)
            return left, upper, left + box_width, upper + box_height
    box_width = min(width, max(1, round(height * ratio[1])))
    box_height = min(height, max(1, round(width / ratio[0])))
    left, upper = (width - box_width) // 2, (height - box_height) // 2
    return left, upper, left + box_width, upper + box_height


def _from_settings(settings: Mapping[str, Any]) -> Preprocess:
    for step in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
        if not settings.get(step, True):
            raise RequestError(f"it sets {step} to false; expected every step of CLIP's transform")
    if not math.isclose(settings.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-3):
        raise RequestError(f"its rescale_factor is {settings['rescale_factor']}; expected 1/255")
    size, crop = settings.get("size", SIDE), settings.get("crop_size", SIDE)
    if isinstance(size, Mapping):
        if set(size) != {"shortest_edge"}:
            raise RequestError(f"its size is {dict(size)}; expected shortest_edge only")
        size = size["shortest_edge"]
    if isinstance(crop, Mapping):
        if crop["height"] != crop["width"]:
            raise RequestError(f"its crop_size is {dict(crop)}; expected a square")
        crop = crop["height"]
    red, green, blue = map(float, settings.get("image_mean", MEAN))
    red_std, green_std, blue_std = map(float, settings.get("image_std", STD))
    return Preprocess(
        side=int(crop),
        resize=int(size),
        mean=(red, green, blue),
        std=(red_std, green_std, blue_std),
        interpolation=Image.Resampling(settings.get("resample", Image.Resampling.BICUBIC)),
    )
