"""Images share forward passes, and nobody gets another's answer."""

import threading
import time
from concurrent.futures import CancelledError, wait

import numpy
import pytest

from crossprompt.inference.base import Array
from crossprompt.inference.server.batching import Batcher
from crossprompt.inference.server.limits import BusyError
from crossprompt.inference.server.metrics import Metrics
from crossprompt.inference.server.schemas import RefusalError


class Scores:
    """Twice the first value of an image; keeps the sizes of the batches, waits until let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.threads: set[int] = set()
        self.let_go = threading.Event()
        self.let_go.set()

    def __call__(self, images: Array) -> Array:
        self.sizes.append(len(images))
        self.threads.add(threading.get_ident())
        assert self.let_go.wait(10)
        return 2 * images[:, :1, 0, 0]


def image(value: float) -> Array:
    return numpy.full((3, 2, 2), value, numpy.float32)


def test_images_that_come_together_share_a_forward_pass() -> None:
    scores = Scores()
    batcher = Batcher(scores, most=8, wait=0.5, metrics=Metrics())
    answers = [batcher.submit(image(number)) for number in range(20)]
    assert [answer.result(10)[0] for answer in answers] == [2 * number for number in range(20)]
    assert scores.sizes == [8, 8, 4]
    assert len(scores.threads) == 1
    batcher.close()


def test_an_image_alone_does_not_wait_for_others_longer_than_it_may() -> None:
    batcher = Batcher(Scores(), most=8, wait=0.01, metrics=Metrics())
    assert batcher.submit(image(3)).result(5)[0] == 6
    batcher.close()


def test_what_waited_while_others_were_scored_need_not_wait_again() -> None:
    scores = Scores()
    scores.let_go.clear()
    batcher = Batcher(scores, most=2, wait=0.8, metrics=Metrics())
    answers = [batcher.submit(image(number)) for number in range(3)]
    time.sleep(0.8)
    scores.let_go.set()
    wait(answers, 0.6)
    assert all(answer.done() for answer in answers)
    assert scores.sizes == [2, 1]
    batcher.close()


def test_an_image_that_nobody_waits_for_any_more_is_not_scored() -> None:
    scores = Scores()
    scores.let_go.clear()
    batcher = Batcher(scores, most=1, wait=0.0, metrics=Metrics())
    first, second, third = (batcher.submit(image(number)) for number in range(3))
    while not scores.sizes:
        pass
    assert second.cancel()
    scores.let_go.set()
    assert (first.result(5)[0], third.result(5)[0]) == (0, 4)
    with pytest.raises(CancelledError):
        second.result(5)
    assert len(scores.sizes) == 2
    batcher.close()


def test_closing_answers_all_that_was_submitted_and_takes_no_more() -> None:
    scores = Scores()
    scores.let_go.clear()
    batcher = Batcher(scores, most=4, wait=10.0, metrics=Metrics())
    answers = [batcher.submit(image(number)) for number in range(6)]
    threading.Timer(0.05, scores.let_go.set).start()
    assert batcher.alive
    batcher.close()
    assert all(answer.done() for answer in answers)
    assert not batcher.alive
    with pytest.raises(BusyError):
        batcher.submit(image(0))


def test_a_failed_forward_pass_fails_its_own_images_and_no_others() -> None:
    def fragile(images: Array) -> Array:
        if images.max() > 9:
            raise ZeroDivisionError("/secret/path")
        return images[:, :, 0, 0] * (numpy.nan if images.min() < 0 else 1)

    batcher = Batcher(fragile, most=1, wait=0.0, metrics=Metrics())
    failed, unfinite, good = (batcher.submit(image(value)) for value in (10, -1, 1))
    for answer in (failed, unfinite):
        with pytest.raises(RefusalError):
            answer.result(5)
    assert good.result(5)[0] == 1
    batcher.close()
