from typing import Any

import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.clip_adapter import CLIPAdapter
from tests.backbone import NAMES, even_clip, random_images


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> CLIPAdapter:
    method = build_method("clip_adapter", clip, NAMES, **options)
    assert isinstance(method, CLIPAdapter)
    return method


def test_scores_equal_the_formula_written_out(clip: CLIP) -> None:
    method, images = build(clip, ratio=0.3), random_images(4)
    down, up = method.down.weight, method.up.weight
    assert down.shape == (clip.config.embed // 4, clip.config.embed)
    rows = []
    for feature in clip.encode_images(images):
        hidden = (down @ feature).clamp(min=0)
        rows.append(0.3 * (up @ hidden).clamp(min=0) + 0.7 * feature)
    texts = clip.encode_texts(clip.tokenizer.tokenize_texts([f"a photo of a {n}." for n in NAMES]))
    expected = clip.logits(torch.stack(rows), texts[0])
    torch.testing.assert_close(method(clip, images), expected, atol=1e-4, rtol=0)
    assert (method(clip, images) - build(clip, ratio=0.0)(clip, images)).abs().max() > 0.01


def test_at_ratio_0_it_is_zero_shot(clip: CLIP) -> None:
    images, zero_shot = random_images(3), build_method("zero_shot", clip, NAMES)
    torch.testing.assert_close(build(clip, ratio=0.0)(clip, images), zero_shot(clip, images))


def test_the_recipe_is_the_stated_one() -> None:
    recipe = CLIPAdapter.recipe(16)
    assert (recipe.batch_size, recipe.epochs, recipe.optimizer) == (32, 200, "sgd")
    assert (recipe.lr, recipe.schedule, recipe.views) == (0.002, "warm-up-cosine", 10)
    assert (CLIPAdapter.Config().ratio, CLIPAdapter.Config().reduction) == (0.2, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.1}, "ratio is 1.1"),
        ({"ratio": float("nan")}, "ratio is nan"),
        ({"reduction": 0}, "reduction is 0"),
        ({"reduction": 49}, "reduction is 49 .*48"),
        ({"template": ["a"]}, "template is 'a'"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=f"clip_adapter: {message}"):
        build(clip, **options)
