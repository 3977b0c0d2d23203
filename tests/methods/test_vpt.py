from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from benchmarks.counting import count_work
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.features import Examples
from crossprompt.methods.vpt import VPT
from crossprompt.training.config import TrainConfig
from crossprompt.training.train import train
from tests.backbone import EVEN, NAMES, even_clip, random_images, write_items
from tests.methods.dense_prompts import dense_image_features

LABELS = torch.tensor([0, 1, 2, 3])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> VPT:
    method = build_method("vpt", clip, NAMES, **options)
    assert isinstance(method, VPT)
    return method


@pytest.mark.parametrize("deep", [True, False])
def test_logits_and_gradients_equal_the_dense_restatement(clip: CLIP, deep: bool) -> None:
    method, images = build(clip, deep=deep, length=5), random_images(4)
    with torch.no_grad():
        for prompt in method.image_prompts:
            prompt.mul_(20)
    learned = [prompt.detach().clone().requires_grad_() for prompt in method.image_prompts]
    image = normalize(dense_image_features(clip, images, dict(enumerate(learned))), dim=-1)
    texts = clip.tokenizer.tokenize_texts([f"a photo of a {name}." for name in NAMES])
    classes = normalize(clip.encode_texts(texts)[0], dim=-1)
    expected = clip.logit_scale.exp() * image @ classes.T
    assert expected.std() > 0.5
    torch.testing.assert_close(method(clip, images), expected, atol=2e-5, rtol=0)

    method.loss(clip, images, LABELS).backward()
    gradients = torch.autograd.grad(cross_entropy(expected, LABELS), learned)
    for prompt, gradient in zip(method.image_prompts, gradients, strict=True):
        assert gradient.abs().amax() > 1e-3
        torch.testing.assert_close(prompt.grad, gradient, atol=2e-5, rtol=1e-3)


def test_deep_prompts_stand_before_every_block_and_a_shallow_one_before_the_first(clip) -> None:
    expected = (8, EVEN.image.width)
    assert [x.shape for x in build(clip).image_prompts] == [expected] * EVEN.image.blocks
    assert [x.shape for x in build(clip, deep=False).image_prompts] == [expected]


def test_the_text_side_never_changes_and_is_encoded_once(clip: CLIP, tmp_path) -> None:
    items, method = write_items(tmp_path, [0, 1, 2, 3]), build(clip)
    before = method.texts.features(clip).clone()
    with count_work(clip) as work:
        train(method, clip, items, TrainConfig(epochs=3, batch_size=2))
    assert work.text.calls == [1] * EVEN.text.blocks
    frozen = method.freeze(clip, Examples(clip, items))
    assert torch.equal(method.texts.features(clip), before)
    assert torch.equal(frozen.class_weights, normalize(before, dim=-1))


def test_the_recipe_is_that_of_maples_code() -> None:
    recipe = VPT.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (5, 4, 0.0025)
    assert (recipe.optimizer, recipe.first_lr) == ("sgd", 1e-5)
    assert (VPT.Config().length, VPT.Config().deep) == (8, True)
    assert recipe == VPT.recipe(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"template": ["a"]}, "template is 'a'"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)
