from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.pmpo import PMPO, cut
from crossprompt.methods.prompts import encode_prompted_images
from tests.backbone import NAMES, even_clip, random_images
from tests.clip.dense_text import dense_text_features

WIDE = torch.Generator().manual_seed(1)


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> PMPO:
    method = build_method("pmpo", clip, NAMES, **options)
    assert isinstance(method, PMPO)
    return method


@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 12])
def test_the_segments_cover_all_blocks_once_and_are_nearly_equal(blocks: int) -> None:
    for segments in range(1, blocks + 1):
        found = cut(blocks, segments)
        assert [block for segment in found for block in segment] == list(range(blocks))
        assert len(found) == segments
        assert max(map(len, found)) - min(map(len, found)) <= 1
    assert [list(segment) for segment in cut(12, 4)][1] == [3, 4, 5]


def test_every_block_has_the_prompt_of_its_segment(clip: CLIP) -> None:
    method = build(clip, prompts=2)
    image_prompts = method.prompts_by_block()
    assert sorted(image_prompts) == [0, 1, 2]
    for block, prompt in image_prompts.items():
        segment = next(number for number, blocks in enumerate(method.segments) if block in blocks)
        expected = method.to_image[segment](method.text_prompts[segment])
        assert torch.equal(prompt, expected)
    assert [len(blocks) for blocks in method.segments] == [1, 2]


@pytest.mark.parametrize("weight", [None, 0.3])
def test_it_scores_as_its_formula_with_texts_encoded_the_dense_way(clip: CLIP, weight) -> None:
    method, images = build(clip, length=3, template_weight=weight), random_images(3)
    method.text_prompts.data += torch.randn(method.text_prompts.shape, generator=WIDE)
    prompted = normalize(dense_text_features(clip, method.names, {0: method.text_prompts}), dim=-1)
    assert len(prompted) == 3  # as many as there are blocks
    texts = [f"a photo of a {name}." for name in NAMES]
    written = dense_text_features(clip, clip.tokenizer.tokenize_texts(texts, NAMES))[0]
    weight = 1 / 4 if weight is None else weight
    classes = (1 - weight) * prompted.mean(0) + weight * normalize(written, dim=-1)
    image = encode_prompted_images(clip, images, method.prompts_by_block())
    torch.testing.assert_close(method(clip, images), clip.logits(image, classes))


def test_prompts_start_from_the_words_each_with_noise_of_its_own(clip: CLIP) -> None:
    method, exact = build(clip, prompts=3), build(clip, prompts=3, noise=0.0)
    assert torch.equal(exact.text_prompts[0], exact.text_prompts[2])
    difference = method.text_prompts - exact.text_prompts
    assert 0.001 < difference.std() < 0.003
    assert not torch.equal(method.text_prompts[0], method.text_prompts[1])
    assert build(clip, initial_words="").text_prompts.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": 0}, "prompts is 0"),
        ({"prompts": 5}, "prompts is 5"),
        ({"length": 0}, "length is 0"),
        ({"length": 5}, "initial_words 'a photo of a' .* length 5"),
        ({"template_weight": 2.0}, "template_weight is 2.0"),
        ({"noise": -1.0}, "noise is -1.0"),
        ({"template": ["a"]}, "template is 'a'"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)


def test_the_recipe_is_that_of_maple() -> None:
    recipe = PMPO.recipe(16)
    assert (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs) == ("sgd", 0.0035, 4, 5)
    assert (PMPO.Config().prompts, PMPO.Config().length, PMPO.Config().noise) == (4, 4, 0.002)
