"""Batches: the images of each step."""

from itertools import chain
from pathlib import Path

import pytest
import torch

from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods.features import encode_crops, features_of, images_of, views_of
from crossprompt.training.batches import BatchSampler
from crossprompt.utils import distributed
from tests.backbone import even_clip, write_items


def plan(
    items: list[Item], batch_size: int = 4, seed: int = 1, augment: bool = True
) -> BatchSampler:
    read = images_of(items, even_clip(), seed, 0.08 if augment else None)
    return BatchSampler([item.label for item in items], batch_size, seed, read)


def unread(count: int) -> list[Item]:
    return [Item(Path(f"{number}.png"), number) for number in range(count)]


def test_an_incomplete_last_batch_is_dropped() -> None:
    batches = plan(unread(11)).batches(1)
    assert [len(batch) for batch in batches] == [4, 4]
    assert len({position for batch in batches for position in batch}) == 8


def test_an_incomplete_batch_is_kept_if_it_is_the_only_one() -> None:
    assert [sorted(batch) for batch in plan(unread(3)).batches(1)] == [[0, 1, 2]]


def test_every_epoch_has_its_order_and_every_seed_its_orders() -> None:
    assert plan(unread(16)).batches(1) == plan(unread(16)).batches(1)
    assert plan(unread(16)).batches(1) != plan(unread(16)).batches(2)
    assert plan(unread(16), seed=2).batches(1) != plan(unread(16)).batches(1)
    left_out = {frozenset(chain(*plan(unread(11)).batches(epoch))) for epoch in range(1, 5)}
    assert len(left_out) > 1  # not the same images every time


def test_images_and_labels_belong_together(tmp_path) -> None:
    items = write_items(tmp_path, [0, 1, 2, 3, 4, 5])
    steps = plan(items, batch_size=3, augment=False)
    by_label = {
        int(label): image
        for images, labels in steps.epoch(1)
        for image, label in zip(images, labels, strict=True)
    }
    assert sorted(by_label) == [0, 1, 2, 3, 4, 5]
    for images, labels in steps.epoch(2):
        for image, label in zip(images, labels, strict=True):
            assert torch.equal(image, by_label[int(label)])


def test_augmentation_differs_between_epochs_and_images(tmp_path) -> None:
    (item,) = write_items(tmp_path, [0])
    steps = plan([item, item], batch_size=2)
    (first, _), (second, _) = next(steps.epoch(1)), next(steps.epoch(2))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    assert torch.equal(first, next(plan([item, item], batch_size=2).epoch(1))[0])


def test_crops_keep_as_much_as_they_should(tmp_path) -> None:
    items, clip = write_items(tmp_path, [0]), even_clip()
    whole, _ = next(BatchSampler([0], 1, 1, images_of(items, clip, 1, None)).epoch(1))

    def nearest(smallest_crop: float) -> float:
        read = images_of(items, clip, 1, smallest_crop)
        shown = [read(0, epoch) for epoch in range(20)]
        return sum(
            min((x - y).abs().mean().item() for y in (whole[0], whole[0].flip(-1))) for x in shown
        )

    assert nearest(0.9) < 0.5 * nearest(0.08)


def test_features_are_those_of_the_images_in_their_order(tmp_path) -> None:
    items, clip = write_items(tmp_path, [0, 1, 2]), even_clip()
    pixels, features = images_of(items, clip, 1, None), features_of(items, clip)
    for position in (2, 0, 1):
        alone = clip.encode_images(pixels(position, 1)[None])[0]
        torch.testing.assert_close(features(position, 7), alone, atol=1e-5, rtol=0)


def test_views_are_the_crops_of_the_first_epochs_in_turn(tmp_path) -> None:
    items, clip = write_items(tmp_path, [0, 1, 2]), even_clip()
    pixels, views = images_of(items, clip, 1, 0.3), views_of(items, clip, 1, 0.3, views=2)
    for epoch, drawn in ((1, 1), (2, 2), (3, 1), (6, 2)):
        for position in (2, 0):
            alone = clip.encode_images(pixels(position, drawn)[None])[0]
            torch.testing.assert_close(views(position, epoch), alone, atol=1e-5, rtol=0)
    assert (views(0, 1) - views(0, 2)).abs().max() > 0.1


def test_crops_are_encoded_in_the_order_of_epochs_and_images(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("crossprompt.methods.features.BATCH", 4)
    items, clip = write_items(tmp_path, [0, 1, 2]), even_clip()
    pixels, found = images_of(items, clip, 1, 0.3), encode_crops(items, clip, 1, 0.3, [-1, 0, 5])
    assert found.shape == (3, 3, clip.config.embed)
    for row, epoch in enumerate((-1, 0, 5)):
        alone = clip.encode_images(torch.stack([pixels(position, epoch) for position in range(3)]))
        torch.testing.assert_close(found[row], alone, atol=1e-5, rtol=0)


def test_processes_share_the_very_batches_of_one(tmp_path, monkeypatch) -> None:
    items = write_items(tmp_path, [0, 1, 2, 3, 4, 5, 6, 7])
    alone = [labels.tolist() for _, labels in plan(items).epoch(1)]
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append([labels.tolist() for _, labels in plan(items).epoch(1)])
    assert [first + second for first, second in zip(*shares, strict=True)] == alone


def test_a_batch_that_processes_cannot_share_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    with pytest.raises(RequestError, match=r"4 images .* 3 processes"):
        plan(unread(8))
