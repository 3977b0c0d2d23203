from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.counting import count_work
from crossprompt.classifier.classifier import freeze
from crossprompt.clip.blocks import KEY_AND_VALUE, QUERY, Attention
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.clip_lora import CLIPLoRA, LowRank
from crossprompt.methods.heads import Merged
from crossprompt.training.config import TrainConfig
from crossprompt.training.memory import Recompute, applied
from crossprompt.training.train import train
from crossprompt.utils.progress import StepReport
from tests.backbone import EVEN, NAMES, even_clip, random_images, with_blocks, write_items
from tests.clip.random_clip import make_clip

LABELS = torch.tensor([0, 1, 2, 3, 0])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> CLIPLoRA:
    """As after some training: B is not zero any more."""
    method = build_method("clip_lora", clip, NAMES, **options)
    assert isinstance(method, CLIPLoRA)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tower in (method.image, method.text):
            tower.up.normal_(0, 0.3, generator=generator)
    return method


def zero_shot(clip: CLIP) -> Any:
    return build_method("zero_shot", clip, NAMES)


def changed(clip: CLIP, method: CLIPLoRA) -> CLIP:
    """Another CLIP, to whose weights the changes are added one by one."""
    other = deepcopy(clip)
    for tower, learned in ((other.image, method.image), (other.text, method.text)):
        for number, block in enumerate(tower.blocks):
            for part, rows in enumerate(block.attention.qkv.weight.data.chunk(3)):
                a, b = learned.down[number, part], learned.up[number, part]
                rows += method.config.alpha / method.config.rank**0.5 * (b @ a).detach()
    return other


def expected_logits(clip: CLIP, method: CLIPLoRA, images: Tensor) -> Tensor:
    other = changed(clip, method)
    texts = other.tokenizer.tokenize_texts([f"a photo of a {name}." for name in NAMES])
    return other.logits(other.encode_images(images), other.encode_texts(texts)[0])


@pytest.mark.parametrize("options", [{}, {"rank": 5, "alpha": 2.0}])
def test_it_is_a_clip_with_other_weights(clip: CLIP, options: dict[str, Any]) -> None:
    method, images = build(clip, **options).eval(), random_images(5)
    expected = expected_logits(clip, method, images)
    assert (expected - zero_shot(clip)(clip, images)).std() > 0.1
    assert expected.std() > 0.5
    torch.testing.assert_close(method(clip, images), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(freeze(method, clip).logits(images), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("training", [False, True])
def test_it_starts_at_zero_shot_clip(clip: CLIP, training: bool) -> None:
    method, images = build_method("clip_lora", clip, NAMES).train(training), random_images(3)
    expected = zero_shot(clip)(clip, images)
    torch.testing.assert_close(method(clip, images).detach(), expected, atol=1e-5, rtol=0)


def test_a_change_is_added_to_each_of_the_three_projections() -> None:
    attention = Attention(2, 1)
    learned = LowRank(blocks=1, width=2, rank=1, scale=10.0, dropped=0.0)
    with torch.no_grad():
        attention.qkv.weight.zero_()
        attention.qkv.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        learned.down[0] = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]])
        learned.up[0] = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]])
    (project,), x = learned.projects(), torch.tensor([[[7.0, -8.0]]])
    query = [[[1.0 + 70.0, 2.0 + 140.0]]]
    key_and_value = [[[3.0 - 240.0, 4.0 - 320.0, 5.0 - 50.0, 6.0 - 60.0]]]
    torch.testing.assert_close(project(attention, x, QUERY), torch.tensor(query))
    torch.testing.assert_close(project(attention, x, KEY_AND_VALUE), torch.tensor(key_and_value))


def test_what_is_dropped_is_the_input_of_a_change() -> None:
    """So that what is left of a change keeps its direction, that of B."""
    attention = Attention(2, 1)
    learned = LowRank(blocks=1, width=2, rank=1, scale=1.0, dropped=0.5).train()
    with torch.no_grad():
        attention.qkv.weight.zero_()
        attention.qkv.bias.zero_()
        learned.down.fill_(1.0)
        learned.up[0] = torch.tensor([[1.0], [10.0]])
    (project,), x = learned.projects(), torch.tensor([[[7.0, -8.0]]])
    torch.manual_seed(0)
    found = torch.cat([project(attention, x, QUERY)[0] for _ in range(50)])
    torch.testing.assert_close(found[:, 1], 10 * found[:, 0])
    # twice what is left: both inputs, either, or none
    assert sorted(set(found[:, 0].tolist())) == [-16.0, -2.0, 0.0, 14.0]


def gradients(method: CLIPLoRA, clip: CLIP, saving: Recompute) -> dict[str, Tensor]:
    method.zero_grad()
    torch.manual_seed(3)
    with applied(clip, saving):
        loss = method.loss(clip, random_images(5), LABELS)
    loss.backward()  # when the context is closed, a block that is computed again must be the same
    return {name: parameter.grad.clone() for name, parameter in method.named_parameters()}


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_blocks_that_are_computed_again_are_changed_and_drop_the_same(
    clip: CLIP, dropout: float
) -> None:
    method = build(clip, dropout=dropout).train()
    kept = gradients(method, clip, Recompute())
    again = gradients(method, clip, Recompute(text=True, image=True))
    assert set(kept) == {"image.down", "image.up", "text.down", "text.up"}
    for name, x in kept.items():
        assert (x.flatten(2).abs().amax(-1) > 1e-4).all(), name  # every projection of every block
        assert torch.equal(again[name], x), name


def test_a_part_of_the_changes_input_is_dropped_in_training_alone(clip: CLIP) -> None:
    method, images = build(clip, dropout=0.5), random_images(2)
    method.eval()
    torch.testing.assert_close(method(clip, images), method(clip, images))
    method.train()
    torch.manual_seed(0)
    one = method(clip, images)
    assert (one - method(clip, images)).abs().amax() > 0.01
    torch.manual_seed(0)
    assert torch.equal(one, method(clip, images))


def test_a_classifier_leaves_clip_as_it_is_and_holds_one_weight_of_each_block(clip: CLIP) -> None:
    method, images = build(clip), random_images(3)
    before = {key: value.clone() for key, value in clip.state_dict().items()}
    other = freeze(zero_shot(clip), clip)
    expected = other.logits(images)
    frozen = freeze(method, clip).frozen
    assert isinstance(frozen, Merged)
    assert (frozen(clip, images) - expected).std() > 0.1
    assert torch.equal(other.logits(images), expected)
    assert all(torch.equal(value, before[key]) for key, value in clip.state_dict().items())

    blocks, width, embed = EVEN.image.blocks, EVEN.image.width, EVEN.embed
    saved = sum(x.numel() for x in frozen.state_dict().values())
    assert saved == blocks * 3 * 2 * (2 * width) + len(NAMES) * embed + 1
    assert sum(x.numel() for x in frozen.buffers()) - saved == blocks * 3 * width * width
    assert list(frozen.parameters()) == []


def test_once_frozen_no_text_is_encoded(clip: CLIP) -> None:
    classifier = freeze(build(clip), clip)
    with count_work(clip) as work:
        classifier.logits(random_images(3))
    assert work.text.calls == [0] * EVEN.text.blocks
    assert work.image.calls == [1] * EVEN.image.blocks


def test_merged_weights_have_the_dtype_of_the_backbone(clip: CLIP) -> None:
    coarse = deepcopy(clip).bfloat16()
    method, images = build(clip).eval(), random_images(5)
    classifier = freeze(method, coarse)
    assert classifier.frozen.weight_0.dtype == torch.bfloat16
    expected = method(clip, images).detach()
    for found in (classifier.logits(images), method(coarse, images).detach()):
        torch.testing.assert_close(found, expected, atol=0.1 * expected.std().item(), rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"rank": 65}, "rank is 65 .* width 64"),
        ({"rank": 10**12}, "width 64"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"template": ("a {}", "the {}")}, "template has 2"),
        ({"template": ("a",)}, "template is 'a'"),
    ],
)
def test_impossible_settings_are_refused(clip: CLIP, options: dict, message: str) -> None:
    with pytest.raises(RequestError, match=f"clip_lora: .*{message}"):
        build_method("clip_lora", clip, NAMES, **options)


def test_the_recipe_is_the_published_one() -> None:
    recipe = CLIPLoRA.recipe(16)
    assert [CLIPLoRA.recipe(shots).steps for shots in (1, 4, 16)] == [500, 2000, 8000]
    assert (recipe.batch_size, recipe.lr, recipe.last_lr) == (32, 2e-4, 1e-6)
    assert (recipe.optimizer, recipe.weight_decay, recipe.schedule) == ("adamw", 0.01, "cosine")
    config = CLIPLoRA.Config()
    assert (config.rank, config.alpha, config.dropout) == (2, 1.0, 0.25)
    # 16 shots of 100 classes: 50 steps in an epoch
    assert recipe.for_images(1600).epochs == 160
    assert TrainConfig(epochs=3).recipe_of(CLIPLoRA, 16).for_images(1600).epochs == 3


@pytest.mark.slow
def test_a_training_in_steps_is_resumed_to_the_same_bits(tmp_path, monkeypatch) -> None:
    recipe = replace(CLIPLoRA.recipe(1), steps=5, batch_size=4)
    monkeypatch.setattr(CLIPLoRA, "recipe", classmethod(lambda cls, shots: recipe))
    clip, items = make_clip(with_blocks(2)), write_items(tmp_path / "images", [0, 1, 2, 3] * 2)

    def learn(folder: Path, stop: int | None = None, resume: bool = False) -> dict[str, Tensor]:
        def on_step(report: StepReport) -> None:
            if report.step == stop:
                raise KeyboardInterrupt

        method = build_method("clip_lora", clip, NAMES)
        reports = train(method, clip, items, folder=folder, resume=resume, on_step=on_step)
        assert [report.epochs for report in reports] == [3, 3, 3]  # of two steps each
        return method.state_dict()

    expected = learn(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "cut", stop=5)
    found = learn(tmp_path / "cut", resume=True)
    assert all(torch.equal(found[key], value) for key, value in expected.items())
