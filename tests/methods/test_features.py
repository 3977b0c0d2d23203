import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossprompt.clip.model import CLIP
from crossprompt.data import images as ahead
from crossprompt.data.dataset import Item
from crossprompt.data.images import prefetch, read_image
from crossprompt.errors import RequestError
from crossprompt.methods import features as examples
from crossprompt.methods.features import Examples, ImageCache, balanced, read_batches
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


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for number in range(7):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (8, 8), (number, 0, 0)).save(paths[-1])
    return paths


def red(image):
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).astype(np.float32))


def test_results_come_in_order_although_later_ones_are_ready_first():
    def slow_when_early(number):
        time.sleep(0.02 if number < 3 else 0)
        return number

    assert list(prefetch(slow_when_early, range(20))) == list(range(20))


def test_an_endless_source_is_read_only_a_little_ahead():
    taken = 0

    def source():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = prefetch(lambda number: number, source())
    assert next(results) == 1
    assert taken <= ahead.WORKERS * ahead.AHEAD + 1
    results.close()


def test_threads_end_when_the_reader_stops_early():
    before = threading.active_count()
    results = prefetch(lambda number: number, iter(range(1000)))
    next(results)
    results.close()
    assert threading.active_count() == before


def test_batches_keep_the_order_and_the_last_is_short(pictures):
    batches = list(read_batches(iter(pictures), red, 3))
    assert [len(batch.paths) for batch in batches] == [3, 3, 1]
    values = torch.cat([batch.images for batch in batches])[:, 0, 0, 0]
    assert values.tolist() == list(range(7))


def test_an_unreadable_image_is_an_error_that_names_it(pictures):
    pictures[2].write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"2\.png"):
        list(read_batches(pictures, red, 4))


def test_an_image_is_decoded_once_while_it_fits(pictures, monkeypatch):
    reads = []

    def counted(path, enough):
        reads.append(path)
        return original(path, enough)

    original = examples.read_image
    monkeypatch.setattr(examples, "read_image", counted)
    cache = ImageCache(budget=2 * 3 * 8 * 8)  # two pictures
    for _ in range(2):
        for path in pictures[:3]:
            cache.read(path)
    assert [reads.count(path) for path in pictures[:3]] == [1, 1, 2]
