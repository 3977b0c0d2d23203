"""Maps of the image regions behind an answer, and the words nearest to learned prompts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from crossprompt.classifier import explain as explaining
from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.explain import CAPTION, explain, nearest_words, overlay
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.errors import JobError, RequestError
from crossprompt.methods import METHODS, build_method
from tests.backbone import NAMES, even_clip, random_images, with_blocks, write_items
from tests.clip.random_clip import make_clip
from tests.saved import classify


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return write_items(tmp_path_factory.mktemp("images"), [0, 1, 2, 3])


def seen_by(clip: CLIP, classifier: Classifier, image: Tensor) -> list[explaining._Record]:
    with torch.no_grad(), explaining._record(clip.image.blocks) as seen:
        classifier.logits(image[None])
    return seen


@pytest.mark.parametrize("name", METHODS)
def test_a_map_has_a_number_for_every_patch_and_nothing_is_changed(
    name: str, clip: CLIP, items: list[Item]
) -> None:
    classifier, image = classify(clip, items, name), random_images(1)[0]
    before = classifier.logits(image[None])
    found = explain(classifier, image)
    assert found.map.shape == (4, 4)
    assert found.map.min() >= 0
    assert found.map.std() > 0
    shares = before.softmax(-1)[0]
    assert found.label == NAMES[int(shares.argmax())]
    assert found.probability == pytest.approx(float(shares.max()), abs=1e-5)
    assert torch.equal(classifier.logits(image[None]), before)
    assert image.grad is None
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in clip.image.blocks)
    assert all(parameter.grad is None for parameter in clip.parameters())


def test_attention_is_seen_as_it_is_computed(clip: CLIP, items: list[Item]) -> None:
    classifier, image = classify(clip, items), random_images(1)[0]
    seen = seen_by(clip, classifier, image)
    tokens = 1 + clip.config.image.patches + 4
    heads = clip.config.image.heads
    shapes = [tuple(x.attention.shape) for x in seen]
    assert shapes == [(1, heads, tokens, tokens)] * 2 + [(1, heads, 1, tokens)]
    block = clip.image.blocks[0]
    parts = block.attention.qkv(block.norm_1(seen[0].tokens[None])).unflatten(-1, (3, heads, -1))
    query, key, _ = parts.permute(2, 0, 3, 1, 4)
    expected = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)
    torch.testing.assert_close(seen[0].attention, expected)


def test_the_map_is_of_the_weighted_attention_to_the_patches_row_by_row(
    clip: CLIP, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, image = classify(clip, items), random_images(1)[0]
    # class token, 16 patches and 4 prompts, then without prompts
    passes = [torch.arange(21.0), torch.full((17,), 0.5)]
    monkeypatch.setattr(explaining, "_class_token_rows", lambda *_: passes)
    found = explain(classifier, image).map
    assert torch.equal(found, torch.arange(1.5, 17.0).reshape(4, 4))


def test_an_attention_counts_as_much_as_it_raises_the_share_of_the_class(
    clip: CLIP, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, image = classify(clip, items, "zero_shot"), random_images(1)[0]
    kept: list[Tensor] = []
    monkeypatch.setattr(
        explaining,
        "_class_token_rows",
        lambda _, weighted: kept.extend(weighted) or [torch.zeros(17)],
    )
    explain(classifier, image, NAMES[2])
    with torch.enable_grad(), explaining._record(clip.image.blocks) as seen:
        logits = classifier.frozen(clip, image[None].clone().requires_grad_())
    share = logits.softmax(-1)[0, 2]
    (gradient,) = torch.autograd.grad(share, [seen[-1].attention])
    expected = (seen[-1].attention * gradient / share).clamp(min=0).mean((0, 1))
    torch.testing.assert_close(kept[-1], expected.detach())


def test_relevance_is_followed_through_the_blocks_as_the_equations_say() -> None:
    first, last = torch.tensor([[0.1, 0.2], [0.3, 0.4]]), torch.tensor([[0.5, 0.6]])
    states = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    seen = [explaining._Record(states, first, states + 1), explaining._Record(states + 1, last)]
    (found,) = explaining._class_token_rows(seen, [first, last])
    relevance = torch.eye(2) + first @ torch.eye(2)
    torch.testing.assert_close(found, relevance[0] + last[0] @ relevance)


def test_a_prompt_that_was_written_anew_knows_nothing_of_what_stood_there() -> None:
    first, last = torch.full((3, 3), 0.25), torch.tensor([[0.5, 0.6, 0.7, 0.8]])
    states = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    after, written = states[:3] + 1, torch.cat([states[:2] + 1, states[2:] - 1])  # and one more
    seen = [explaining._Record(states[:3], first, after), explaining._Record(written, last)]
    relevance = torch.eye(4)
    relevance[:2, :3] += 0.25
    (found,) = explaining._class_token_rows(seen, [first, last])
    torch.testing.assert_close(found, relevance[0] + last[0] @ relevance)


def test_an_image_that_passes_the_tower_twice_is_followed_both_times() -> None:
    last, states = torch.tensor([[0.5, 0.6]]), torch.ones(2, 3)
    seen = [explaining._Record(states, last, states[:1])] * 2
    one, other = explaining._class_token_rows(seen, [last, 2 * last])
    assert one.tolist() == pytest.approx([1.5, 0.6])
    assert other.tolist() == pytest.approx([2.0, 1.2])


def test_the_class_can_be_chosen_and_must_be_known(clip: CLIP, items: list[Item]) -> None:
    classifier, image = classify(clip, items), random_images(1)[0]
    one, other = (explain(classifier, image, name) for name in NAMES[:2])
    assert (one.label, other.label) == NAMES[:2]
    assert not torch.equal(one.map, other.map)
    with pytest.raises(RequestError, match=r"'dragon'.*yorkshire"):
        explain(classifier, image, "dragon")


def test_what_cannot_be_explained_says_why(clip: CLIP, items: list[Item]) -> None:
    other = classify(make_clip(with_blocks(2)).bfloat16(), items)
    with pytest.raises(RequestError, match=r"torch\.bfloat16.*fp32"):
        explain(other, random_images(1)[0])
    classifier = classify(clip, items)
    classifier.frozen.forward = lambda clip, images: images.flatten(1)[:, :4]  # type: ignore[method-assign]
    with pytest.raises(JobError, match="dcp"):
        explain(classifier, random_images(1)[0])


def test_words_are_the_nearest_by_hand(clip: CLIP, items: list[Item]) -> None:
    words = "a photo of a"
    method = build_method("coop", clip, NAMES, initial_words=words, length=4)
    (found,) = nearest_words(freeze(method, clip, items), 2).values()
    assert [row[0] for row in found] == [
        (clip.tokenizer.word(id), 0.0) for id in clip.tokenizer.encode(words)
    ]
    table, own = clip.text.words.weight.detach(), method.text_prompt.detach()[1]
    expected = sorted((table - own).norm(dim=-1).tolist())[1]
    assert found[1][1][1] == pytest.approx(expected, abs=1e-5)


def test_prompts_of_classes_are_named_and_methods_without_have_none(
    clip: CLIP, items: list[Item]
) -> None:
    method = build_method("coop", clip, NAMES, class_specific=True, length=2)
    found = nearest_words(freeze(method, clip, items))
    assert list(found) == [f"text_prompt of {name}" for name in NAMES]
    assert [len(row) for row in found["text_prompt of cat"]] == [5, 5]
    assert nearest_words(classify(clip, items, "zero_shot")) == {}


def test_words_can_be_printed(clip: CLIP) -> None:
    tokenizer = clip.tokenizer
    assert [tokenizer.word(id) for id in tokenizer.encode("a")] == ["a"]
    shown = [tokenizer.word(id) for id in range(tokenizer.size)]
    assert all(word and word.isprintable() for word in shown)
    assert any(word.endswith("…") for word in shown)


def test_the_picture_is_red_where_the_map_is_largest() -> None:
    weights = torch.zeros(4, 4)
    weights[0, 3] = 2.0
    sheet = overlay(Image.new("RGB", (24, 24), "white"), weights, "cat 50.0 %")
    pixels, side = np.asarray(sheet).astype(int), 336
    assert sheet.size == (2 * side + CAPTION, side + 2 * CAPTION)
    looked = pixels[:side, side + CAPTION :]
    redness = looked[..., 0] - looked[..., 1]
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    assert row < side / 4
    assert column > 3 * side / 4
    assert redness[side // 2 :].max() < redness.max() / 4
    assert (pixels[:side, :side] == 255).all()
    assert pixels[side:].min() < 100  # the caption


def test_a_map_of_nothing_is_drawn_without_red(tmp_path: Path) -> None:
    sheet = np.asarray(overlay(Image.new("RGB", (400, 400)), torch.zeros(4, 4), "")).astype(int)
    assert (sheet[..., 0] == sheet[..., 1]).all()
    assert sheet.shape[1] == 2 * 400 + CAPTION
