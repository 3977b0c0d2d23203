import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import transformers
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from crossprompt.clip.preprocess import MEAN, STD, Preprocess, random_box
from crossprompt.data.transforms import normalize
from crossprompt.errors import RequestError

SIZES = [(64, 48), (48, 64), (31, 200), (200, 31), (24, 24), (25, 29), (10, 7), (97, 64), (1, 3)]
WHOLE, SQUARE = (1.0, 1.0), (1.0, 1.0)


def random_image(size: tuple[int, int], seed: int = 0) -> Image.Image:
    width, height = size
    pixels = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), numpy.uint8)
    return Image.fromarray(pixels)


def gradient_image(width: int, height: int) -> Image.Image:
    """Red says the column, green the row."""
    pixels = numpy.zeros((height, width, 3), numpy.uint8)
    pixels[..., 0] = numpy.arange(width)[None]
    pixels[..., 1] = numpy.arange(height)[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("side", "resize"), [(24, 24), (23, 28)])
def test_the_test_transform_equals_that_of_transformers(
    size: tuple[int, int], side: int, resize: int
) -> None:
    image = random_image(size)
    theirs = CLIPImageProcessorPil(size={"shortest_edge": resize}, crop_size=side)
    expected = torch.as_tensor(theirs(image, return_tensors="pt").pixel_values[0])
    found = Preprocess(side, resize)(image)
    assert found.shape == (3, side, side)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_what_is_saved_is_read_back_and_read_by_transformers(
    tmp_path: Path, resample: Image.Resampling
) -> None:
    path = tmp_path / "preprocessor_config.json"
    preprocess = Preprocess(20, 22, (0.5, 0.4, 0.3), (0.2, 0.25, 0.5), resample)
    preprocess.save(path)
    assert Preprocess.from_file(path) == preprocess
    image = random_image((40, 33))
    theirs = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    expected = torch.as_tensor(theirs(image, return_tensors="pt").pixel_values[0])
    torch.testing.assert_close(preprocess(image), expected.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 36, "crop_size": 32, "resample": 3, "image_mean": MEAN, "image_std": STD},
        {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}},
        {"image_processor": {"size": {"shortest_edge": 36}, "crop_size": 32}},
        {"size": 36, "crop_size": 32, "do_rescale": True, "rescale_factor": 0.00392156862745098},
    ],
    ids=["old", "new", "processor", "factor"],
)
def test_old_and_new_forms_of_the_file_are_read(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(settings))
    assert Preprocess.from_file(path) == Preprocess(32, 36)


def test_an_empty_file_means_clips_own_values(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text("{}")
    assert Preprocess.from_file(path) == Preprocess(224, 224)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_resize": False}, "leaves out a step"),
        ({"do_center_crop": False}, "leaves out a step"),
        ({"rescale_factor": 1.0}, r"rescale_factor 1\.0"),
        ({"crop_size": {"height": 3, "width": 4}}, "crop_size"),
        ({"size": {"height": 224, "width": 224}}, "size"),
        ({"size": 200}, "224 .* 200"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"),
        ({"resample": 77}, "resample"),
        ([1], "object"),
    ],
)
def test_a_file_with_other_steps_is_an_error_that_names_them(
    tmp_path: Path, settings: object, message: str
) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(RequestError, match=message) as error:
        Preprocess.from_file(path)
    assert str(path) in str(error.value)


def test_open_clips_transform_is_read(tmp_path: Path) -> None:
    path = tmp_path / "open_clip_config.json"
    path.write_text(json.dumps({"preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]}}))
    assert Preprocess.from_open_clip(path, 32) == Preprocess(
        32, 32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    )
    path.write_text(json.dumps({"preprocess_cfg": {"interpolation": "bilinear"}}))
    read = Preprocess.from_open_clip(path, 32)
    assert read == Preprocess(32, 32, interpolation=Image.Resampling.BILINEAR)
    path.write_text(json.dumps({"preprocess_cfg": {"resize_mode": "squash"}}))
    with pytest.raises(RequestError, match="squash"):
        Preprocess.from_open_clip(path, 32)
    path.write_text("[]")
    with pytest.raises(RequestError, match=r"open_clip_config\.json"):
        Preprocess.from_open_clip(path, 32)


def test_a_picture_that_is_not_rgb_is_an_error() -> None:
    with pytest.raises(RequestError, match="mode 'L'"):
        Preprocess(8, 8)(Image.new("L", (8, 8)))
    with pytest.raises(RequestError, match="mode 'P'"):
        Preprocess(8, 8).train(Image.new("P", (8, 8)), random.Random(0))


def test_the_training_transform_of_the_whole_square_is_the_picture() -> None:
    image, preprocess = random_image((24, 24)), Preprocess(24, 24)
    found = preprocess.train(image, random.Random(0), scale=WHOLE, ratio=SQUARE, flip=False)
    assert torch.equal(found, preprocess(image))


def test_the_training_transform_crops_the_drawn_box_and_resizes_it() -> None:
    image, preprocess = random_image((40, 30)), Preprocess(16, 16)
    found = preprocess.train(image, random.Random(3), flip=False)
    box = random_box((40, 30), random.Random(3), (0.08, 1.0), (3 / 4, 4 / 3))
    cropped = image.crop(box).resize((16, 16), Image.Resampling.BICUBIC)
    assert torch.equal(found, preprocess(cropped))


def test_half_of_the_training_pictures_are_mirrored_and_none_if_not_asked_for() -> None:
    image, preprocess, generator = random_image((16, 16)), Preprocess(16, 16), random.Random(0)
    plain = preprocess(image)
    seen: Counter[str] = Counter()
    for _ in range(400):
        found = preprocess.train(image, generator, scale=WHOLE, ratio=SQUARE)
        seen["plain" if torch.equal(found, plain) else "mirrored"] += 1
        assert torch.equal(found, plain) or torch.equal(found, plain.flip(-1))
    assert 160 < seen["mirrored"] < 240  # four deviations
    for _ in range(20):
        found = preprocess.train(image, generator, scale=WHOLE, ratio=SQUARE, flip=False)
        assert torch.equal(found, plain)


def test_the_same_generator_gives_the_same_picture_and_the_global_one_is_left_alone() -> None:
    image, preprocess = random_image((50, 40)), Preprocess(16, 16)
    random.seed(5)
    state = random.getstate()
    once, again = (preprocess.train(image, random.Random(7)) for _ in range(2))
    assert torch.equal(once, again)
    assert random.getstate() == state
    assert not torch.equal(once, preprocess.train(image, random.Random(8)))


def test_boxes_have_the_asked_areas_and_ratios_everywhere_in_the_picture() -> None:
    generator, width, height = random.Random(0), 400, 300
    boxes = [
        random_box((width, height), generator, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(4000)
    ]
    assert all(0 <= left < right <= width for left, _, right, _ in boxes)
    assert all(0 <= upper < lower <= height for _, upper, _, lower in boxes)
    areas = numpy.array([(r - x) * (b - y) / (width * height) for x, y, r, b in boxes])
    ratios = numpy.log([(r - x) / (b - y) for x, y, r, b in boxes])
    assert 0.079 < areas.min() < 0.09
    assert 0.95 < areas.max() <= 1.0
    assert abs(ratios).max() < numpy.log(4 / 3) + 0.02
    # where a box always fits, the area is uniform and so is the logarithm of the ratio
    fitting = areas < 0.5
    assert abs(areas[fitting].mean() - (0.08 + 0.5) / 2) < 0.01
    assert abs(ratios[fitting].mean()) < 0.015
    assert abs(ratios[fitting].std() - 2 * numpy.log(4 / 3) / 12**0.5) < 0.01
    # and so is the place
    places = numpy.array([x / (width - (r - x)) for x, y, r, b in boxes if r - x < 0.7 * width])
    assert abs(places.mean() - 0.5) < 0.02
    assert places.min() == 0.0
    assert places.max() == 1.0


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((100, 4), (47, 0, 52, 4)),  # wide: full height, width 4/3 of it
        ((4, 100), (0, 47, 4, 52)),  # tall: full width, height 4/3 of it
        ((10, 1), (4, 0, 5, 1)),
    ],
)
def test_a_picture_too_narrow_for_any_box_gets_the_largest_central_one(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert random_box(size, random.Random(0), (0.9, 1.0), (3 / 4, 4 / 3)) == box


def test_the_central_fallback_is_the_whole_picture_where_its_ratio_is_allowed() -> None:
    never = (1.5, 2.0)  # areas that stick out of every picture
    assert random_box((40, 36), random.Random(0), never, (3 / 4, 4 / 3)) == (0, 0, 40, 36)


def test_a_single_pixel_can_be_trained_on() -> None:
    found = Preprocess(8, 8).train(Image.new("RGB", (1, 1), (255, 0, 0)), random.Random(0))
    assert torch.allclose(found[0], torch.tensor((1 - MEAN[0]) / STD[0]))


def test_columns_and_rows_are_not_swapped() -> None:
    pixels = Preprocess(20, 20, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))(gradient_image(40, 20)) * 255
    assert torch.equal(pixels[0, 0].round(), torch.arange(10.0, 30.0))
    assert torch.equal(pixels[1, :, 0].round(), torch.arange(20.0))


def test_every_value_is_normalized_as_the_formula_says() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(16, 16, 1).expand(-1, -1, 3)
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    expected = (pixels.permute(2, 0, 1).float() / 255 - mean) / std
    assert torch.equal(Preprocess(16, 16)(Image.fromarray(pixels.numpy())), expected)


@pytest.mark.parametrize("seed", range(20))
def test_with_numpy_alone_every_value_is_the_same_to_the_bit(seed: int) -> None:
    generator = random.Random(seed)
    mean, std = ([generator.uniform(0.05, 0.95) for _ in range(3)] for _ in range(2))
    image = Image.fromarray(numpy.arange(256, dtype=numpy.uint8).repeat(3).reshape(16, 16, 3))
    expected = (torch.arange(256) / 255 - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]
    found = normalize(image, tuple(mean), tuple(std))
    assert numpy.array_equal(found.reshape(3, 256), expected.numpy())


def test_crops_need_more_of_a_picture_than_the_whole() -> None:
    preprocess = Preprocess(side=224, resize=224)
    assert preprocess.enough == 672
    assert preprocess.enough_for_crops(1.0) == 672
    assert preprocess.enough_for_crops(0.08) == 1188  # a box of 0.08 has 336 pixels a side
