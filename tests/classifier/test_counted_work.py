"""Counts of computed work on narrow towers, which notice growth without a clock."""

from pathlib import Path

import pytest
import torch

from benchmarks.counting import count_work
from benchmarks.limit import record
from benchmarks.workload import BATCH, NARROW, Workload, imagenet_names, names, random_clip
from crossprompt import freeze
from crossprompt.clip.model import CLIP
from tests.backbone import random_images, write_items

pytestmark = pytest.mark.slow

PROMPT, BLOCKS, CONTEXT = 16, 12, 77
PATCHES = NARROW.image.patches
SIDE = NARROW.image.side
CLASSES = (10, 100, 1000)


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return random_clip(torch.float32, torch.device("cpu"), NARROW)


def every_block(tokens: int, last: int) -> list[int]:
    return [tokens] * (BLOCKS - 1) + [last]


@pytest.mark.parametrize("classes", CLASSES)
def test_a_training_step_handles_each_name_token_once(clip: CLIP, classes: int) -> None:
    workload = Workload.of(clip, names(classes, tokens=4))
    with count_work(clip) as work:
        workload.step()
    tokens = 1 + PROMPT + classes * (4 + 2)  # the start and the prompt once; a full stop, an end
    assert work.text.calls == [1] * BLOCKS
    assert work.text.entered == [tokens] * BLOCKS
    assert work.text.answered == every_block(tokens, last=classes)
    images = BATCH * (1 + PATCHES + PROMPT)
    assert work.image.calls == [1] * BLOCKS
    assert work.image.entered == [images] * BLOCKS
    assert work.image.answered == every_block(images, last=BATCH)


def test_names_of_different_lengths_are_not_padded(clip: CLIP) -> None:
    workload = Workload.of(clip, imagenet_names())
    with count_work(clip) as work:
        workload.step()
    assert work.text.entered == [1 + PROMPT + 4171] * BLOCKS
    assert 1 + PROMPT + 4171 < 1000 * CONTEXT / 18


def test_products_grow_with_the_name_tokens_alone(clip: CLIP) -> None:
    few, more, most = (record(Workload.of(clip, names(c)).backward).flops for c in CLASSES)
    assert (most - more) * (100 - 10) == (more - few) * (1000 - 100)
    # with twice the tokens of a name, full stop and end included, a class takes about twice as much
    longer = record(Workload.of(clip, names(100, tokens=10)).backward).flops
    start = more - (more - few) * 100 / 90
    assert 1.9 < (longer - start) / (more - start) < 2.3


def test_gradients_reach_back_through_each_product_at_most_once(clip: CLIP) -> None:
    workload = Workload.of(clip, names(1000))
    with torch.no_grad():
        forward = record(lambda: workload.method(clip, workload.images)).flops
    assert record(workload.backward).flops < 2.2 * forward  # frozen weights have no gradient


@pytest.mark.parametrize("classes", CLASSES)
def test_text_is_encoded_once_to_freeze_and_never_after(
    clip: CLIP, classes: int, tmp_path: Path
) -> None:
    method = Workload.of(clip, names(classes)).method
    items = write_items(tmp_path, [0, 1, 2])
    with count_work(clip) as work:
        classifier = freeze(method, clip, items)
    assert work.text.calls == [1] * BLOCKS

    with count_work(clip) as work:
        for seed in range(3):
            classifier.logits(random_images(5, seed, SIDE))
        classifier.predict([item.path for item in items])
    assert work.text.calls == work.text.entered == [0] * BLOCKS
    images = (3 * 5 + 3) * (1 + PATCHES + PROMPT)
    assert work.image.entered == [images] * BLOCKS
    assert work.image.answered == every_block(images, last=3 * 5 + 3)
