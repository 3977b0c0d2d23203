import math
from typing import Any

import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.kgcoop import KgCoOp
from tests.backbone import NAMES, even_clip, random_images


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, names: tuple[str, ...] = NAMES, **options: Any) -> KgCoOp:
    method = build_method("kgcoop", clip, names, **options)
    assert isinstance(method, KgCoOp)
    return method


def test_the_loss_equals_its_formula_on_a_case_made_by_hand(clip: CLIP, monkeypatch) -> None:
    """Two classes, of which the second has turned by 60 degrees."""
    method = build(clip, NAMES[:2], weight=3.0)
    known, prompted, feature = torch.zeros(3, 2, clip.config.embed)
    known[0, 0] = known[1, 1] = 2.0
    prompted[0, 0], prompted[1, 1], prompted[1, 2] = 5.0, 0.5, math.sqrt(0.75)
    feature[0, 0], feature[1, 1] = 4.0, 0.1
    monkeypatch.setattr(method.texts, "features", lambda clip: known)
    monkeypatch.setattr(method, "encode_classes", lambda *_: prompted)
    scale = clip.logit_scale.exp().item()
    scores = [[scale, 0.0], [0.0, scale / 2]]
    labels = [0, 0]
    expected = (
        sum(
            math.log(sum(map(math.exp, row))) - row[label]
            for row, label in zip(scores, labels, strict=True)
        )
        / 2
        + 3.0 * (0.0 + (1 - 0.5)) / 2
    )
    found = method.loss(clip, feature, torch.tensor(labels))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_it_starts_from_the_written_text_and_at_no_distance(clip: CLIP) -> None:
    images, labels = random_images(4), torch.tensor([0, 1, 2, 3])
    near, free = build(clip), build(clip, weight=0.0)
    zero_shot = build_method("zero_shot", clip, NAMES)
    torch.testing.assert_close(near(clip, images), zero_shot(clip, images), atol=1e-4, rtol=0)
    features = clip.encode_images(images)
    losses = [method.loss(clip, features, labels).item() for method in (near, free)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_the_distance_is_from_the_template(clip: CLIP) -> None:
    images, labels = random_images(4), torch.tensor([0, 1, 2, 3])
    photo, red = build(clip), build(clip, template=["red {}"])
    assert torch.equal(photo(clip, images), red(clip, images))
    features = clip.encode_images(images)
    assert red.loss(clip, features, labels) > photo.loss(clip, features, labels) + 0.1


def test_the_recipe_is_the_published_one() -> None:
    recipe = KgCoOp.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (100, 128, 0.002)
    assert recipe == KgCoOp.recipe(1)
    assert (KgCoOp.Config().weight, KgCoOp.Config().length) == (8.0, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"length": 5}, "initial_words 'a photo of a' .* length 5"),
        ({"weight": -1.0}, "weight is -1.0"),
        ({"template": ["a"]}, "template is 'a'"),
        ({"length": 10**9}, "'yorkshire terrier' .*1000000005"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)
