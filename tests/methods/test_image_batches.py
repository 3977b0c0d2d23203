"""Reading images ahead: in order, bounded, and from memory where they fit."""

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from crossprompt.data import images as ahead
from crossprompt.data.images import prefetch
from crossprompt.errors import RequestError
from crossprompt.methods import features as loading
from crossprompt.methods.features import ImageCache, read_batches


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
        return loading_read(path, enough)

    loading_read = loading.read_image
    monkeypatch.setattr(loading, "read_image", counted)
    cache = ImageCache(budget=2 * 3 * 8 * 8)  # two pictures
    for _ in range(2):
        for path in pictures[:3]:
            cache.read(path)
    assert [reads.count(path) for path in pictures[:3]] == [1, 1, 2]
