from typing import Any

import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.taskres import TaskRes
from tests.backbone import NAMES, even_clip, random_images

TEMPLATES = ["a photo of a {}.", "red {}", "{} and cats"]


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.mark.parametrize("template", [TEMPLATES[:1], TEMPLATES])
def test_at_zero_residual_it_is_zero_shot(clip: CLIP, template: list[str]) -> None:
    images = random_images(3)
    method, zero_shot = (
        build_method(name, clip, NAMES, template=template) for name in ("taskres", "zero_shot")
    )
    torch.testing.assert_close(method(clip, images), zero_shot(clip, images))


def test_the_residual_is_added_to_the_texts_as_they_are(clip: CLIP) -> None:
    method, images = build_method("taskres", clip, NAMES, scale=0.7), random_images(3)
    residual = torch.randn(
        len(NAMES), clip.config.embed, generator=torch.Generator().manual_seed(0)
    )
    method.load_state_dict({"residual": residual})
    texts = clip.encode_texts(clip.tokenizer.tokenize_texts([f"a photo of a {n}." for n in NAMES]))
    expected = clip.logits(clip.encode_images(images), texts[0] + 0.7 * residual)
    torch.testing.assert_close(method(clip, images), expected, atol=1e-5, rtol=0)
    assert (expected - clip.logits(clip.encode_images(images), texts[0])).abs().max() > 0.1


def test_the_recipe_is_the_published_one() -> None:
    assert [TaskRes.recipe(shots).epochs for shots in (1, 2, 4, 8, 16)] == [100] * 3 + [200] * 2
    recipe = TaskRes.recipe(16)
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == ("adam", 0.002, 256)
    assert (recipe.weight_decay, recipe.schedule) == (5e-4, "warm-up-cosine")
    assert TaskRes.Config().scale == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale is 0.0"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"template": []}, "template is empty"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=f"taskres: {message}"):
        build_method("taskres", clip, NAMES, **options)
