"""Image transforms: from an RGB picture to the image tower's input, for testing and training."""

import math
import random
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from msgspec import Meta, Struct, field, json
from PIL import Image
from torch import Tensor

from crossprompt.data.transforms import MEAN, STD, PictureTransform, Three, normalize
from crossprompt.errors import RequestError
from crossprompt.utils.files import read_json

Pixels = Float[Tensor, "3 side side"]
Box = tuple[int, int, int, int]
"""Left, upper, right, lower."""

ADVICE = "expected the steps of CLIP's transform"

SIDE = 224
"""Default of ``transformers``."""
GAP_OF_CROPS = 1.5
"""``data.transforms.GAP`` for the smallest box of the training transform."""
TRIES = 10
"""Boxes drawn before the training transform falls back to the central one, as torchvision does."""


class _Size(Struct, forbid_unknown_fields=True):
    shortest_edge: int


class _Crop(Struct):
    height: int
    width: int


class _Processor(Struct):
    """An image processor's settings, with the defaults of ``transformers``."""

    image_processor_type: str = "CLIPImageProcessor"
    do_convert_rgb: bool = True
    do_resize: bool = True
    size: int | _Size = SIDE
    resample: Annotated[int, Meta(ge=0, le=5)] = 3
    do_center_crop: bool = True
    crop_size: int | _Crop = SIDE
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: Three = MEAN
    image_std: Three = STD


class _ProcessorFile(_Processor):
    image_processor: _Processor | None = None


class _OpenClipTransform(Struct):
    resize_mode: Literal["shortest"] = "shortest"
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: Three = MEAN
    std: Three = STD


class _OpenClipFile(Struct):
    preprocess_cfg: _OpenClipTransform = field(default_factory=_OpenClipTransform)


class Preprocess(PictureTransform):
    """A checkpoint's image transform, to a tensor; for training, of a random box."""

    def enough_for_crops(self, smallest: float) -> int:
        """``enough`` for boxes whose area is at least ``smallest`` of the picture's."""
        return max(self.enough, math.ceil(GAP_OF_CROPS * self.side / math.sqrt(smallest)))

    def __call__(self, image: Image.Image) -> Pixels:
        """The test transform: resize the shorter side, crop the center, normalize.

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
            image: RGB, or ``RequestError`` is raised.
            generator: source of all randomness.
            scale: smallest and largest area of the box, as a part of the picture's.
            ratio: smallest and largest width / height of the box.
            flip: whether to mirror left and right with probability one half.
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
            RequestError: it is damaged, or has other steps than CLIP's.
        """
        file = read_json(Path(path), _ProcessorFile, ADVICE)
        found = file.image_processor or file
        crop = found.crop_size
        height, width = (crop, crop) if isinstance(crop, int) else (crop.height, crop.width)
        steps = found.do_resize and found.do_center_crop and found.do_rescale and found.do_normalize
        if not steps or not math.isclose(found.rescale_factor, 1 / 255, rel_tol=1e-3):
            raise RequestError(
                f"{path} leaves out a step, or its rescale_factor {found.rescale_factor} is not "
                f"1/255; {ADVICE}"
            )
        if height != width:
            raise RequestError(f"{path}: its crop_size is {crop}; expected a square")
        size = found.size if isinstance(found.size, int) else found.size.shortest_edge
        interpolation = Image.Resampling(found.resample)
        try:
            return cls(height, size, found.image_mean, found.image_std, interpolation)
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from None

    @classmethod
    def from_open_clip(cls, path: str | PathLike[str], side: int) -> "Preprocess":
        """Read the ``preprocess_cfg`` of an ``open_clip_config.json``, if it has one.

        Raises:
            RequestError: it is damaged, or has other steps than CLIP's.
        """
        found = read_json(Path(path), _OpenClipFile, ADVICE).preprocess_cfg
        interpolation = Image.Resampling[found.interpolation.upper()]
        return cls(side, side, found.mean, found.std, interpolation)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a ``preprocessor_config.json`` that ``from_file`` and ``transformers`` read."""
        settings = _Processor(
            size=_Size(self.resize),
            resample=self.interpolation.value,
            crop_size=_Crop(self.side, self.side),
            image_mean=self.mean,
            image_std=self.std,
        )
        Path(path).write_bytes(json.format(json.encode(settings), indent=2) + b"\n")


def random_box(
    size: tuple[int, int],
    generator: random.Random,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box:
    """A box whose area is uniform in ``scale`` and whose log aspect ratio is uniform in ``ratio``.

    If ten boxes in turn exceed a picture of ``size`` (width, height), the largest central box of an
    allowed ratio.
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
