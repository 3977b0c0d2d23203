from typing import Any

import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS, build_method
from tests.backbone import NAMES, even_clip, random_images

TEMPLATES = ["a photo of a {}.", "red {}", "{} and cats"]


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def test_several_templates_are_the_normalized_mean_of_normalized_features(clip: CLIP) -> None:
    images = random_images(5)
    columns = []
    for name in NAMES:
        total = torch.zeros(clip.config.embed)
        for template in TEMPLATES:
            texts = clip.tokenizer.tokenize_texts([template.replace("{}", name)])
            feature = clip.encode_texts(texts)[0, 0]
            total += feature / feature.norm()
        mean = total / len(TEMPLATES)
        columns.append(mean / mean.norm())
    features = clip.encode_images(images)
    features = features / features.norm(dim=-1, keepdim=True)
    expected = clip.logit_scale.exp() * features @ torch.stack(columns).T
    found = build_method("zero_shot", clip, NAMES, template=TEMPLATES)(clip, images)
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_default_template_is_a_photo(clip: CLIP) -> None:
    images = random_images(2)
    default = build_method("zero_shot", clip, NAMES)(clip, images)
    photo = build_method("zero_shot", clip, NAMES, template=["a photo of a {}."])(clip, images)
    other = build_method("zero_shot", clip, NAMES, template=["red {}"])(clip, images)
    assert torch.equal(default, photo)
    assert not torch.allclose(default, other, atol=0.1)


def test_braces_in_a_class_name_are_left_as_they_are(clip: CLIP) -> None:
    names = ["{} cat", "{name}"]
    texts = clip.tokenizer.tokenize_texts(["a photo of a {} cat.", "a photo of a {name}."])
    images = random_images(2)
    expected = clip.logits(clip.encode_images(images), clip.encode_texts(texts)[0])
    found = build_method("zero_shot", clip, names)(clip, images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ([], "template is empty"),
        (["a photo"], "template is 'a photo'"),
        (["{} and {}"], "template is '{} and {}'"),
        ("a photo of a {}.", "template is 'a photo of a {}.'"),
    ],
)
def test_an_impossible_template_is_an_error_that_names_it(
    clip: CLIP, template: Any, message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        build_method("zero_shot", clip, NAMES, template=template)
    assert message in str(caught.value)


def test_there_is_nothing_to_train(clip: CLIP) -> None:
    assert METHODS["zero_shot"].recipe(16).epochs == 0
    assert list(build_method("zero_shot", clip, NAMES).parameters()) == []


def test_a_text_that_is_too_long_is_an_error_that_names_the_class(clip: CLIP) -> None:
    names = ["cat", " ".join(["dogs"] * 80)]
    method = build_method("zero_shot", clip, names)
    with pytest.raises(RequestError, match=r"'dogs dogs .* 77"):
        method(clip, random_images(1))
