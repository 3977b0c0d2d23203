from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.ivlp import IVLP
from tests.backbone import EVEN, NAMES, even_clip, random_images, with_blocks
from tests.clip.random_clip import make_clip
from tests.methods.dense_prompts import dense_logits

LABELS = torch.tensor([0, 1, 2, 3])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> IVLP:
    method = build_method("ivlp", clip, NAMES, **options)
    assert isinstance(method, IVLP)
    return method


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_logits_and_gradients_equal_the_dense_restatement(clip: CLIP, depth: int) -> None:
    method, images = build(clip, depth=depth), random_images(4)
    with torch.no_grad():
        for prompt in method.parameters():
            prompt.mul_(20)
    sides = method.text_prompts, method.image_prompts
    learned = [[x.detach().clone().requires_grad_() for x in side] for side in sides]
    expected = dense_logits(clip, NAMES, images, *learned)
    assert expected.std() > 0.5
    torch.testing.assert_close(method(clip, images), expected, atol=2e-5, rtol=0)

    method.loss(clip, images, LABELS).backward()
    cross_entropy(expected, LABELS).backward()
    for side, copies in zip(sides, learned, strict=True):
        assert len(side) == depth
        for prompt, copy in zip(side, copies, strict=True):
            assert copy.grad.abs().amax() > 1e-3
            torch.testing.assert_close(prompt.grad, copy.grad, atol=2e-5, rtol=1e-3)


def test_neither_tower_knows_the_others_prompts(clip: CLIP) -> None:
    method, images = build(clip), random_images(2)
    features = dict[str, torch.Tensor]()
    handles = [
        tower.projection.register_forward_hook(
            lambda module, inputs, output, name=name: features.update({name: output})
        )
        for name, tower in (("image", clip.image), ("text", clip.text))
    ]

    def run() -> dict[str, torch.Tensor]:
        method(clip, images)
        return dict(features)

    before = run()
    for changed, prompts in (("image", method.image_prompts), ("text", method.text_prompts)):
        with torch.no_grad():
            for prompt in prompts:
                prompt.mul_(-20)
        after = run()
        (other,) = {"image", "text"} - {changed}
        assert torch.equal(after[other], before[other])
        assert (after[changed] - before[changed]).abs().max() > 1e-3
        before = after
    for handle in handles:
        handle.remove()


def test_only_the_first_text_prompt_starts_from_words(clip: CLIP) -> None:
    method = build(clip)
    ids = torch.tensor(clip.tokenizer.encode("a photo of a"))
    words = clip.text.words(ids)
    assert [torch.equal(x, words) for x in method.text_prompts] == [True, False, False]
    assert not torch.equal(build(clip, initial_words="").text_prompts[0], words)
    drawn = [*method.text_prompts[1:], *method.image_prompts]
    assert torch.cat([x.flatten() for x in drawn]).std().item() == pytest.approx(0.02, rel=0.1)


def test_the_recipe_is_the_published_one() -> None:
    recipe = IVLP.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (20, 4, 0.0025)
    assert (IVLP.Config().length, IVLP.Config().depth) == (4, 9)
    assert recipe == IVLP.recipe(1)


def test_a_smaller_backbone_has_prompts_before_all_its_blocks_by_default() -> None:
    method = build(make_clip(with_blocks(2)))
    assert len(method.text_prompts) == len(method.image_prompts) == 2


@pytest.mark.parametrize("name", ["ivlp", "maple", "promptsrc"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "{name}: length is 0"),
        ({"depth": 0}, "{name}: depth is 0"),
        ({"depth": 99}, "{name}: depth is 99 .*3 blocks"),
        ({"length": 5}, "initial_words 'a photo of a' .* length 5"),
        ({"length": 10**9}, "'yorkshire terrier' .*1000000005"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, name: str, options: dict[str, Any], message: str
) -> None:
    assert EVEN.image.blocks == 3
    with pytest.raises(RequestError, match=message.format(name=name)):
        build_method(name, clip, NAMES, **options)
