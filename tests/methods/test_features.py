from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.data.images import read_image
from crossprompt.errors import RequestError
from crossprompt.methods import features as examples
from crossprompt.methods.features import Examples, balanced
from tests.backbone import even_clip, write_items


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def listed(counts: dict[int, int]) -> list[Item]:
    return [
        Item(Path(f"{label}/{n}"), label) for label, count in counts.items() for n in range(count)
    ]


def test_features_are_those_of_the_test_transform_in_order(clip: CLIP, tmp_path: Path) -> None:
    items = write_items(tmp_path, [2, 0, 1])
    found = Examples(clip, items).train_features
    images = torch.stack([clip.preprocess(read_image(item.path)) for item in items])
    torch.testing.assert_close(found.features, clip.encode_images(images), atol=1e-5, rtol=0)
    assert found.labels == [2, 0, 1]
    np.testing.assert_allclose(np.linalg.norm(found.normalized, axis=1), 1, atol=1e-6)


def test_without_validation_images_there_are_no_features(clip: CLIP) -> None:
    found = Examples(clip, []).val_features
    assert found.features.shape == (0, clip.config.embed)
    assert found.labels == []


def test_the_calibration_batch_is_every_training_image(clip: CLIP, tmp_path: Path) -> None:
    items = write_items(tmp_path, [0, 1, 0])
    images = torch.stack([clip.preprocess(read_image(item.path)) for item in items])
    assert torch.equal(Examples(clip, items).calibration, images)


def test_the_calibration_batch_is_bounded_and_balanced(
    clip: CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "CALIBRATION_IMAGES", 4)
    items = write_items(tmp_path, [0] * 6 + [1] * 2)
    chosen = [item.path for item in balanced(items, 4, seed=7)]
    images = torch.stack([clip.preprocess(read_image(path)) for path in chosen])
    assert torch.equal(Examples(clip, items, seed=7).calibration, images)


def test_calibration_without_images_is_an_error(clip: CLIP) -> None:
    with pytest.raises(RequestError, match="no training images"):
        _ = Examples(clip, []).calibration


def test_the_draw_takes_as_many_of_each_class_as_can_be() -> None:
    drawn = balanced(listed({0: 50, 1: 3, 2: 50}), 20, seed=1)
    assert Counter(item.label for item in drawn) == {0: 9, 1: 3, 2: 8}
    assert len(set(drawn)) == 20


def test_the_draw_follows_the_seed_and_is_everything_if_there_is_little() -> None:
    items = listed({0: 50, 1: 50})
    assert balanced(items, 10, seed=1) == balanced(items, 10, seed=1)
    assert balanced(items, 10, seed=1) != balanced(items, 10, seed=2)
    assert balanced(items, 100, seed=1) == items
