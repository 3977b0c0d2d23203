from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.methods import build_method
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import StaticPrompts
from crossprompt.methods.maple import MaPLe
from tests.backbone import EVEN, NAMES, even_clip, random_images
from tests.methods.dense_prompts import dense_logits

LABELS = torch.tensor([0, 1, 2, 3])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> MaPLe:
    method = build_method("maple", clip, NAMES, **options)
    assert isinstance(method, MaPLe)
    return method


def image_prompts(method: MaPLe, clip: CLIP) -> list[Tensor]:
    """As they reach the image tower."""
    frozen = method.freeze(clip, Examples(clip, ()))
    assert isinstance(frozen, StaticPrompts)
    return [getattr(frozen, f"image_prompt_{depth}") for depth in frozen.depths]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_logits_and_gradients_equal_the_dense_restatement(clip: CLIP, depth: int) -> None:
    method, images = build(clip, depth=depth, length=3), random_images(4)
    with torch.no_grad():
        for prompt in method.text_prompts:
            prompt.mul_(20)
    learned = {key: x.detach().clone().requires_grad_() for key, x in method.named_parameters()}
    text = [learned[f"text_prompts.{i}"] for i in range(depth)]
    image = [
        x @ learned[f"couplings.{i}.weight"].T + learned[f"couplings.{i}.bias"]
        for i, x in enumerate(text)
    ]
    expected = dense_logits(clip, NAMES, images, text, image)
    assert expected.std() > 0.5
    torch.testing.assert_close(method(clip, images), expected, atol=2e-5, rtol=0)

    method.loss(clip, images, LABELS).backward()
    cross_entropy(expected, LABELS).backward()
    assert len(learned) == 3 * depth
    for key, parameter in method.named_parameters():
        assert learned[key].grad.abs().amax() > 1e-4
        torch.testing.assert_close(parameter.grad, learned[key].grad, atol=2e-5, rtol=1e-3)


def test_image_prompts_are_linear_in_the_text_prompts_of_their_own_depth(clip: CLIP) -> None:
    method = build(clip)

    def at(*texts: Tensor) -> list[Tensor]:
        with torch.no_grad():
            for prompt, text in zip(method.text_prompts, texts, strict=True):
                prompt.copy_(text)
            return image_prompts(method, clip)

    shape, depth = method.text_prompts[0].shape, len(method.text_prompts)
    generator = torch.Generator().manual_seed(0)
    one, two = ([torch.randn(shape, generator=generator) for _ in range(depth)] for _ in range(2))
    nothing = at(*[torch.zeros(shape)] * depth)
    first, second = at(*one), at(*two)
    mixed = at(*[2 * x - 3 * y for x, y in zip(one, two, strict=True)])
    for zero, x, y, found in zip(nothing, first, second, mixed, strict=True):
        torch.testing.assert_close(found - zero, 2 * (x - zero) - 3 * (y - zero), atol=1e-5, rtol=0)
    moved = at(one[0], two[1], one[2])
    assert [torch.equal(x, y) for x, y in zip(moved, first, strict=True)] == [True, False, True]


def test_the_first_text_prompt_is_of_words_and_later_couplings_start_alike(clip: CLIP) -> None:
    method = build(clip)
    ids = torch.tensor(clip.tokenizer.encode("a photo of a")[:2])
    assert torch.equal(method.text_prompts[0], clip.text.words(ids))
    first, second, third = (coupling.weight for coupling in method.couplings)
    assert second is not third
    assert torch.equal(second, third)
    assert not torch.equal(first, second)
    assert first.shape == (EVEN.image.width, EVEN.text.width)


def test_the_recipe_is_the_published_one() -> None:
    recipe = MaPLe.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (5, 4, 0.0035)
    assert (MaPLe.Config().length, MaPLe.Config().depth) == (2, 9)
    assert recipe == MaPLe.recipe(1)
