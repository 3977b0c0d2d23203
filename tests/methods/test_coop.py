from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.coop import CoOp
from tests.backbone import EVEN, NAMES, even_clip, random_images
from tests.clip.dense_text import dense_text_features

LABELS = torch.tensor([0, 1, 2, 3])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> CoOp:
    method = build_method("coop", clip, NAMES, **options)
    assert isinstance(method, CoOp)
    return method


def dense_logits(clip: CLIP, images: Tensor, contexts: Tensor) -> Tensor:
    """One class after the other, each with its own context ``[classes, length, width]``."""
    features = [
        dense_text_features(clip, clip.tokenizer.tokenize_names([name]), {0: context[None]})[0, 0]
        for name, context in zip(NAMES, contexts, strict=True)
    ]
    classes, image = normalize(torch.stack(features), dim=-1), clip.encode_images(images)
    return clip.logit_scale.exp() * normalize(image, dim=-1) @ classes.T


@pytest.mark.parametrize("class_specific", [False, True])
def test_logits_and_gradients_equal_the_dense_restatement(clip: CLIP, class_specific: bool) -> None:
    method, images = build(clip, class_specific=class_specific, length=5), random_images(4)
    with torch.no_grad():
        method.text_prompt.mul_(20)
    learned = method.text_prompt.detach().clone().requires_grad_()
    contexts = learned if class_specific else learned.expand(len(NAMES), -1, -1)
    logits, expected = method(clip, images), dense_logits(clip, images, contexts)
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)

    method.loss(clip, clip.encode_images(images), LABELS).backward()
    cross_entropy(expected, LABELS).backward()
    assert learned.grad is not None
    assert learned.grad.abs().amax() > 1e-3
    torch.testing.assert_close(method.text_prompt.grad, learned.grad, atol=1e-5, rtol=0)


def test_there_is_one_context_or_one_for_every_class(clip: CLIP) -> None:
    width = EVEN.text.width
    assert build(clip).text_prompt.shape == (16, width)
    assert build(clip, length=3, class_specific=True).text_prompt.shape == (len(NAMES), 3, width)


def test_a_prompt_from_words_scores_as_the_written_text(clip: CLIP) -> None:
    images = random_images(3)
    prompted = build(clip, length=4, initial_words="a photo of a")
    written = build_method("zero_shot", clip, NAMES, template=["a photo of a {}."])
    torch.testing.assert_close(prompted(clip, images), written(clip, images), atol=1e-5, rtol=0)


def test_it_trains_longer_with_more_shots() -> None:
    assert [CoOp.recipe(shots).epochs for shots in (1, 2, 4, 8, 16)] == [50, 100, 100, 200, 200]
    assert (CoOp.recipe(16).batch_size, CoOp.recipe(16).lr) == (32, 0.002)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"length": 5, "initial_words": "a photo of a"}, "initial_words .*length 5"),
        (
            {"length": 4, "initial_words": "a photo of a", "class_specific": True},
            "initial_words .* class_specific",
        ),
        ({"length": 10**9, "class_specific": True}, "'yorkshire terrier' .*1000000005"),
        ({"length": 10**9}, "'yorkshire terrier' .*1000000005"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)
