"""Activation checkpointing: exact, counted, and chosen from a memory limit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.counting import count_work
from benchmarks.workload import BATCH, NARROW, Workload, imagenet_names, random_clip
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods import Method, build_method
from crossprompt.training import memory
from crossprompt.training.config import TrainConfig
from crossprompt.training.memory import (
    LEVELS,
    Kept,
    Recompute,
    Tower,
    applied,
    choose_recompute,
    count_kept,
)
from crossprompt.training.train import train
from crossprompt.utils.progress import EpochReport
from tests.backbone import NAMES, even_clip, random_images, with_blocks, write_items
from tests.clip.random_clip import make_clip
from tests.methods.cases import Case, cases

pytestmark = pytest.mark.slow

LABELS = torch.tensor([0, 1, 2, 3, 0])
UNMOVED = {
    "zero_shot": "nothing is learned",
    "tip_adapter": "nothing is learned",
    "dcp-variant=released": "14 of 30 tensors have no gradient",
}
SMALLEST = Recompute(text=True, image=True, most_tokens=1)


def narrow_clip() -> CLIP:
    return make_clip(with_blocks(2))


def gradients(method: Method, clip: CLIP, level: Recompute) -> tuple[Tensor, dict[str, Tensor]]:
    method.zero_grad()
    torch.manual_seed(0)  # as training does, for methods with dropout
    with applied(clip, level):
        loss = method.loss(clip, method.encode_inputs(clip, random_images(5)), LABELS)
        loss.backward()
    return loss, {name: x.grad.clone() for name, x in method.named_parameters() if x.requires_grad}


@cases(UNMOVED)
def test_what_is_computed_again_changes_no_bit(case: Case) -> None:
    clip = even_clip()
    method = case.build(clip)
    loss, kept = gradients(method, clip, Recompute())
    again_loss, again = gradients(method, clip, Recompute(text=True, image=True))
    assert torch.equal(loss, again_loss)
    assert all(torch.equal(again[name], x) for name, x in kept.items())


@cases({**UNMOVED, "clip_lora by default": "what it drops of a text is drawn for each part"})
def test_texts_worked_on_by_parts_give_the_same_gradients(case: Case) -> None:
    clip = even_clip()
    method = case.build(clip)
    _, whole = gradients(method, clip, Recompute())
    for most in (1, 20, 45):
        _, parts = gradients(method, clip, Recompute(text=True, most_tokens=most))
        for name, x in whole.items():
            near = 2e-6 * max(1.0, x.norm().item())
            torch.testing.assert_close(parts[name], x, atol=near, rtol=1e-4)


@pytest.fixture(scope="module")
def workload() -> Workload:
    clip = random_clip(torch.float32, torch.device("cpu"), NARROW)
    return Workload.of(clip, imagenet_names())


@pytest.mark.parametrize("most", [20, 500, 4000])
def test_a_part_has_as_many_tokens_as_allowed_and_every_text_once(
    workload: Workload, most: int
) -> None:
    text = workload.clip.text
    tokens = text.enter(text.embed(workload.method.names))
    parts = tokens.parts(most)
    sizes = [part.activations.shape[1] for part in parts]
    assert max(sizes) <= most
    count = tokens.activations.shape[1]
    assert sum(size - tokens.shared for size in sizes) == count - tokens.shared
    assert len(parts) <= 1.3 * count / (most - tokens.shared) + 1
    joined = tokens.join([part.activations for part in parts])
    assert torch.equal(joined.activations, tokens.activations)
    assert torch.equal(tokens.join_ends([part.ends() for part in parts]).activations, tokens.ends())


@pytest.mark.parametrize(("level", "image", "text"), [(Recompute(), 1, 1), (SMALLEST, 2, 2)])
def test_a_block_is_computed_twice_only_where_that_saves_memory(level, image, text) -> None:
    clip = random_clip(torch.float32, torch.device("cpu"), NARROW)
    workload = Workload.of(clip, NAMES)
    with count_work(clip) as work, applied(clip, level):
        workload.step()
    # a block's hooks see its first run alone, its MLP's see both
    tokens = BATCH * (1 + NARROW.image.patches + 16)
    assert work.image.answered == [image * tokens] * 11 + [image * BATCH]
    assert work.text.answered[-1] == text * len(NAMES)
    assert not any(block.recompute for block in (*clip.image.blocks, *clip.text.blocks))


def keep_all(function: Callable[[], Tensor], known: set[int]) -> int:
    """Bytes that are kept for a gradient, the slow way: all of them held until the end."""
    held: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        held.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = function()
    assert loss.requires_grad
    return sum(x.untyped_storage().nbytes() for at, x in held.items() if at not in known)


def test_what_is_kept_is_counted_without_keeping_it(workload: Workload) -> None:
    clip, method = workload.clip, workload.method

    def loss() -> Tensor:
        return method.loss(clip, workload.images, workload.labels)

    kept = count_kept(loss, method, clip)
    known = {x.untyped_storage().data_ptr() for m in (method, clip) for x in m.parameters()}
    total = kept.elsewhere + kept.image.kept(False) + kept.text.kept(False)
    assert total == keep_all(loss, known)
    with applied(clip, Recompute(text=True, image=True)):
        left = keep_all(loss, known)
    inputs = kept.elsewhere + kept.image.kept(True) + kept.text.kept(True)
    assert 0.9 * inputs < left < 1.05 * inputs < total / 4


def test_what_is_recomputed_leaves_the_inputs(workload: Workload) -> None:
    clip, method = workload.clip, workload.method
    kept = count_kept(lambda: method.loss(clip, workload.images, workload.labels), method, clip)
    width, tokens = NARROW.text.width, 1 + 16 + 4171
    assert kept.text.tokens == tokens
    assert kept.text.kept(recompute=True) == 12 * tokens * width * 4
    peaks = [kept.peak(level) for level in LEVELS]
    assert peaks == sorted(peaks, reverse=True)


def test_what_runs_without_a_gradient_is_not_counted() -> None:
    clip, images = even_clip(), random_images(5)
    method = build_method("promptsrc", clip, NAMES, length=2)  # runs the frozen tower too
    kept = count_kept(lambda: method.loss(clip, images, LABELS), method, clip)
    tokens = 5 * (1 + clip.config.image.patches + 2)
    assert kept.image.inputs == [4 * tokens * clip.config.image.width] * clip.config.image.blocks


def test_the_fastest_level_within_the_limit_is_chosen(monkeypatch) -> None:
    kept = Kept(Tower([10, 10], [100, 100], 50), Tower([10, 10], [500, 500], 8192), elsewhere=1000)
    monkeypatch.setattr(memory, "count_kept", lambda *_: kept)
    monkeypatch.setattr(memory, "held_memory", lambda _: 0.0)
    clip, nothing = narrow_clip(), torch.nn.Module()

    def loss() -> Tensor:
        return torch.zeros(())

    found = [kept.peak(level) for level in LEVELS]
    assert found[:2] == [1000 + 200 + 1000 + 500, 1000 + 200 + 20 + 500]
    assert found[2:4] == [1000 + 200 + 20 + 250, 1000 + 20 + 20 + 250]
    for level, peak in zip(LEVELS, found, strict=True):
        assert choose_recompute(loss, nothing, clip, peak) == (level, peak)
    assert choose_recompute(loss, nothing, clip, 1.0) == (LEVELS[-1], found[-1])
    assert (
        choose_recompute(loss, nothing, clip, None)[0] == Recompute()
    )  # all of this machine's memory


@pytest.fixture
def items(tmp_path) -> list[Item]:
    return write_items(tmp_path, [0, 0, 1, 1, 2, 2])


def learn(items: list[Item], said: list[str], **settings) -> tuple[Method, list]:
    clip = narrow_clip()
    method = build_method("coop", clip, NAMES, length=2)
    config = TrainConfig(epochs=2, batch_size=3, **settings)
    return method, train(method, clip, items, config, say=said.append)


def test_a_training_within_a_limit_says_so_and_learns_the_same(items, monkeypatch) -> None:
    said: list[str] = []
    free, _ = learn(items, said)
    assert said == []
    monkeypatch.setattr(memory, "held_memory", lambda _: 0.0)
    monkeypatch.setattr(memory, "LEVELS", (Recompute(), SMALLEST))
    monkeypatch.setattr(Kept, "peak", lambda _, level: 3e9 if level == Recompute() else 1e9)
    bound, _ = learn(items, said, memory_limit=2.0)
    assert len(said) == 1
    assert "1 GB" in said[0]
    for name, x in free.state_dict().items():
        torch.testing.assert_close(bound.state_dict()[name], x, atol=1e-5, rtol=0)


def test_a_limit_that_nothing_is_within_is_refused(items) -> None:
    with pytest.raises(RequestError, match="memory_limit is 1e-06"):
        learn(items, [], memory_limit=1e-6)


def test_a_run_resumes_to_the_same_bits_with_less_memory(items, tmp_path, monkeypatch) -> None:
    clip = narrow_clip()
    twice = Recompute(text=True, image=True)

    def run(resume: bool, interrupt: bool = False, **options: Any) -> dict[str, Tensor]:
        def on_epoch(report: EpochReport) -> None:
            if interrupt and report.epoch == 1:
                raise KeyboardInterrupt

        method = build_method("dcp", clip, NAMES, length=2)
        config = TrainConfig(epochs=3, batch_size=3)
        train(method, clip, items, config, resume=resume, on_epoch=on_epoch, **options)
        return method.state_dict()

    expected = run(resume=False)
    with pytest.raises(KeyboardInterrupt):
        run(resume=False, interrupt=True, folder=tmp_path)
    said: list[str] = []
    monkeypatch.setattr(memory, "LEVELS", (Recompute(), twice))
    monkeypatch.setattr(Kept, "peak", lambda _, level: 1e30 if level == Recompute() else 1e3)
    found = run(resume=True, folder=tmp_path, say=said.append)
    assert len(said) == 1
    assert all(torch.equal(found[name], x) for name, x in expected.items())
