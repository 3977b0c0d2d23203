from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.prograd import ProGrad, align
from tests.backbone import NAMES, even_clip, random_images

LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> ProGrad:
    method = build_method("prograd", clip, NAMES, **options)
    assert isinstance(method, ProGrad)
    return method


def moved(clip: CLIP, seed: int, **options: Any) -> ProGrad:
    """Away from what zero-shot says, so that the two gradients differ."""
    method, generator = build(clip, **options), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        noise = torch.randn(method.text_prompt.shape, generator=generator)
        method.text_prompt.add_(0.5 * noise)
    return method


def gradients(method: ProGrad, clip: CLIP, images: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of cross-entropy and of the divergence from zero-shot CLIP, by definition."""
    known = softmax(build_method("zero_shot", clip, NAMES)(clip, images), dim=-1)
    logits = method(clip, images)
    divergence = kl_div(log_softmax(logits, dim=-1), known, reduction="batchmean")
    (guide,) = torch.autograd.grad(divergence, method.text_prompt, retain_graph=True)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, LABELS), method.text_prompt)
    return gradient, guide


def step(method: ProGrad, clip: CLIP, images: Tensor) -> Tensor:
    loss = method.backward(clip, clip.encode_images(images), LABELS)
    torch.testing.assert_close(loss, cross_entropy(method(clip, images), LABELS))
    assert method.text_prompt.grad is not None
    return method.text_prompt.grad


def seeds(clip: CLIP, opposed: bool) -> list[int]:
    """Start values at which the gradients oppose each other, or do not."""
    images = random_images(6)
    found = [
        seed
        for seed in range(8)
        for gradient, guide in [gradients(moved(clip, seed), clip, images)]
        if bool((gradient * guide).sum() < 0) == opposed
    ]
    assert found
    return found


def test_a_step_that_opposes_what_was_known_becomes_orthogonal_to_it(clip: CLIP) -> None:
    images = random_images(6)
    for seed in seeds(clip, opposed=True):
        method = moved(clip, seed)
        gradient, guide = gradients(method, clip, images)
        found = step(method, clip, images)
        cosine = (found * guide).sum() / (found.norm() * guide.norm())
        assert abs(cosine.item()) < 1e-3
        removed = gradient - found  # nothing but a part along the guide, against it
        assert (removed * guide).sum() < 0
        torch.testing.assert_close(
            removed.norm() * guide.norm(), (removed * guide).sum().abs(), rtol=1e-3, atol=0
        )


def test_a_step_that_does_not_is_left_as_it_is(clip: CLIP) -> None:
    images = random_images(6)
    for seed in seeds(clip, opposed=False):
        method = moved(clip, seed)
        gradient, _ = gradients(method, clip, images)
        torch.testing.assert_close(step(method, clip, images), gradient, rtol=1e-4, atol=1e-6)


def test_without_strength_it_is_coop(clip: CLIP) -> None:
    images, seed = random_images(6), seeds(clip, opposed=True)[0]
    method = moved(clip, seed, strength=0.0)
    gradient, _ = gradients(method, clip, images)
    torch.testing.assert_close(step(method, clip, images), gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("gradient", "guide", "strength", "expected"),
    [
        ([3.0, -4.0], [0.0, 2.0], 1.0, [3.0, 0.0]),
        ([3.0, -4.0], [0.0, 2.0], 0.5, [3.0, -2.0]),
        ([3.0, 4.0], [0.0, 2.0], 1.0, [3.0, 4.0]),
        ([3.0, -4.0], [0.0, 0.0], 1.0, [3.0, -4.0]),
    ],
)
def test_the_opposing_part_is_taken_out(gradient, guide, strength, expected) -> None:
    found = align(torch.tensor(gradient), torch.tensor(guide), strength)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_prompt_ends_in_the_words_after_zeros(clip: CLIP) -> None:
    prompt = build(clip, length=6).text_prompt
    ids = torch.tensor(clip.tokenizer.encode("a photo of a"))
    assert torch.equal(prompt[2:], clip.text.words(ids))
    assert not prompt[:2].any()
    assert build(clip, length=6, initial_words="").text_prompt[:2].any()


def test_it_trains_as_long_as_coop() -> None:
    assert [ProGrad.recipe(shots).epochs for shots in (1, 2, 4, 8, 16)] == [50, 100, 100, 200, 200]
    assert (ProGrad.recipe(16).batch_size, ProGrad.recipe(16).lr) == (32, 0.002)
    assert (ProGrad.Config().strength, ProGrad.Config().length) == (1.0, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"length": 3}, "initial_words 'a photo of a' .* length 3"),
        ({"strength": -0.1}, "strength is -0.1"),
        ({"template": ["a"]}, "template is 'a'"),
        ({"length": 10**9}, "'yorkshire terrier' .*1000000005"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)
