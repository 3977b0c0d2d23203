from dataclasses import replace
from math import gcd
from typing import Any

import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.mmap import MmAP, PromptSource
from crossprompt.methods.prompts import encode_prompted_images
from tests.backbone import EVEN, NAMES, even_clip, random_images
from tests.clip.dense_text import dense_text_features
from tests.clip.random_clip import make_clip


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def uneven() -> CLIP:
    """Towers of widths neither of which divides the other: 96 and 64."""
    image = replace(EVEN.image, width=96, heads=3)
    return make_clip(replace(EVEN, image=image))


def build(clip: CLIP, **options: Any) -> MmAP:
    method = build_method("mmap", clip, NAMES, **options)
    assert isinstance(method, MmAP)
    return method


def stretched(source: PromptSource) -> PromptSource:
    """With factors that are not all one."""
    for factors in (source.image_factors, source.text_factors):
        factors.data = torch.arange(1.0, 1 + factors.numel())[None]
    return source


def test_both_prompts_are_kronecker_products_of_the_source(uneven: CLIP) -> None:
    source = stretched(build(uneven).task)
    image, text = source.for_images(), source.for_texts()
    width = gcd(96, 64)
    assert (image.shape, text.shape) == ((3, 4, 96), (3, 4, 64))
    for depth in range(3):
        assert torch.equal(text[depth], torch.kron(source.text_factors, source.prompts[depth]))
        for token in range(4):
            for place in range(96):
                factor = 1 + place // width
                expected = factor * source.prompts[depth, token, place % width]
                assert image[depth, token, place] == expected


def test_it_starts_from_the_same_values_in_both_towers(clip: CLIP) -> None:
    source = build(clip).task
    assert torch.equal(source.for_images()[..., :64], source.for_texts())
    assert torch.equal(source.for_images()[..., 64:], source.for_texts())
    assert source.prompts.std().item() == pytest.approx(0.02, rel=0.15)


def test_the_prompt_of_the_group_stands_before_that_of_the_task(uneven: CLIP) -> None:
    method, images = build(uneven, group_length=2, depth=2), random_images(3)
    stretched(method.task), stretched(method.group)
    image_prompts, text_prompts = method.prompts_by_block(), method.text_prompts()
    assert sorted(image_prompts) == sorted(text_prompts) == [0, 1]
    for depth in (0, 1):
        parts = image_prompts[depth].split([2, 4]), text_prompts[depth].split([2, 4])
        for image, text, source in zip(*parts, (method.group, method.task), strict=True):
            assert torch.equal(image, source.for_images()[depth])
            assert torch.equal(text, source.for_texts()[depth])
    classes = dense_text_features(
        uneven, method.names, {d: x[None] for d, x in text_prompts.items()}
    )[0]
    image = encode_prompted_images(uneven, images, image_prompts)
    torch.testing.assert_close(method(uneven, images), uneven.logits(image, classes))


def test_the_recipe_is_the_stated_one() -> None:
    recipe = MmAP.recipe(16)
    assert (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs) == ("sgd", 0.0035, 4, 20)
    assert (recipe.momentum, recipe.weight_decay, recipe.first_lr) == (0.9, 5e-4, 1e-5)
    assert (MmAP.Config().length, MmAP.Config().depth, MmAP.Config().group_length) == (4, 9, 0)
    assert recipe == MmAP.recipe(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"depth": 4}, "depth is 4 .* 3 blocks"),
        ({"group_length": -1}, "group_length is -1"),
        ({"group_length": 10**6}, "'yorkshire terrier' .*1000009"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)
