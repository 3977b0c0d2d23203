from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, relu

from benchmarks.counting import count_work
from crossprompt.classifier.classifier import freeze
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.cocoop import CoCoOp
from crossprompt.methods.heads import Conditional, conditional
from crossprompt.training.memory import GB, Recompute, count_kept
from tests.backbone import EVEN, NAMES, VIT_B_16, even_clip, random_images
from tests.clip.dense_text import dense_text_features
from tests.clip.random_clip import make_clip, make_tokenizer

LABELS = torch.tensor([0, 1, 2])
BLOCKS = EVEN.text.blocks


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, **options: Any) -> CoCoOp:
    """With weights that make each image's prompt another."""
    method = build_method("cocoop", clip, NAMES, **{"reduction": 4, **options})
    assert isinstance(method, CoCoOp)
    with torch.no_grad():
        method.down.weight.mul_(5)
        method.up.weight.mul_(5)
    return method


def dense_logits(clip: CLIP, images: Tensor, method: CoCoOp) -> Tensor:
    """One image after the other, every class padded to the whole context."""
    names, rows = clip.tokenizer.tokenize_names(NAMES), []
    for image in images:
        feature = normalize(clip.encode_images(image[None])[0], dim=-1)
        hidden = relu(method.down.weight @ feature + method.down.bias)
        moved = method.up.weight @ hidden + method.up.bias
        context = torch.stack([word + moved for word in method.text_prompt])
        classes = dense_text_features(clip, names, {0: context[None]})[0]
        rows.append(clip.logit_scale.exp() * normalize(classes, dim=-1) @ feature)
    return torch.stack(rows)


def test_logits_and_gradients_equal_the_dense_restatement(clip: CLIP) -> None:
    method, images = build(clip), random_images(3)
    learned = dict(method.named_parameters())
    logits, expected = method(clip, images), dense_logits(clip, images, method)
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    found, wanted = (
        torch.autograd.grad(cross_entropy(x, LABELS), [*learned.values()])
        for x in (logits, expected)
    )
    for key, by_ours, by_dense in zip(learned, found, wanted, strict=True):
        assert by_dense.abs().amax() > 1e-3, key
        torch.testing.assert_close(by_ours, by_dense, atol=1e-5, rtol=0)


def test_every_context_token_is_moved_alike_by_what_the_network_makes_of_the_feature() -> None:
    feature = torch.tensor([[3.0, 4.0]])  # of length 5: 0.6 and 0.8
    down = torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.tensor([0.4, 0.3])  # then 1 and 0
    up = torch.tensor([[2.0, 7.0], [-3.0, 7.0], [0.0, 7.0]]), torch.tensor([0.0, 0.0, 5.0])
    prompt = torch.tensor([[10.0, 20.0, 30.0], [40.0, 50.0, 60.0]])
    moved = conditional.shift(prompt, feature, down, up)
    expected = torch.tensor([[[12.0, 17.0, 35.0], [42.0, 47.0, 65.0]]])
    torch.testing.assert_close(moved, expected)


def test_an_images_logits_do_not_depend_on_the_other_images(clip: CLIP) -> None:
    method, images = build(clip), random_images(5)
    with torch.no_grad():
        together = method(clip, images)
        alone = torch.cat([method(clip, image[None]) for image in images])
        crowd = method(clip, torch.cat([9 * random_images(2, seed=6), images]))[2:]
    for found in (alone, crowd):
        torch.testing.assert_close(found, together, atol=1e-5, rtol=0)


def test_images_have_prompts_of_their_own(clip: CLIP) -> None:
    method = build(clip)
    features = clip.encode_images(random_images(2))
    down, up = (method.down.weight, method.down.bias), (method.up.weight, method.up.bias)
    one, two = conditional.shift(method.text_prompt, features, down, up)
    assert (one - two).abs().amax() > 0.1


def test_a_prefix_is_computed_once_for_an_image_and_no_name_is_padded(clip: CLIP) -> None:
    method, batch = build(clip), 3
    own = sum(len(ids) for ids in method.names.own)
    with count_work(clip) as work:
        method.loss(clip, clip.encode_images(random_images(batch)), LABELS).backward()
    assert work.text.calls == [1] * BLOCKS
    assert work.text.entered == [batch * (1 + 4 + own)] * BLOCKS
    every, last = batch * (1 + 4 + own), batch * len(NAMES)
    assert work.text.answered == [every] * (BLOCKS - 1) + [last]


def test_a_step_of_8_images_and_100_classes_fits_into_4_gb() -> None:
    """On ViT-B/16, counted with tensors that have shapes but take no room."""
    with torch.device("meta"):
        large = CLIP(VIT_B_16).requires_grad_(False)
        large.tokenizer = make_tokenizer()
        names = [f"class {number}" for number in range(100)]
        method = CoCoOp(large, names, CoCoOp.Config())
        images, labels = torch.zeros(8, 3, 224, 224), torch.zeros(8, dtype=torch.long)
        kept = count_kept(
            lambda: method.loss(large, large.encode_images(images), labels), method, large
        )
    weights = sum(4 * x.numel() for x in large.parameters())
    libraries = 0.5 * GB
    assert kept.text.kept(recompute=False) > 1 * GB  # it is counted at all
    assert weights + libraries + kept.peak(Recompute()) < 4 * GB


@pytest.mark.parametrize(("most", "at_once"), [(1, 1), (50, 2), (4096, 5)])
def test_a_classifier_works_on_as_many_images_as_have_room(
    clip: CLIP, monkeypatch, most: int, at_once: int
) -> None:
    method, images = build(clip), random_images(5)
    tokens = 1 + 4 + sum(len(ids) for ids in method.names.own)
    assert tokens == 20
    classifier, entered = freeze(method, clip), []
    monkeypatch.setattr(conditional, "MOST_TOKENS", most)
    hook = clip.text.blocks[0].register_forward_pre_hook(
        lambda module, given: entered.append(given[0].activations.shape[:2].numel())
    )
    logits = classifier.logits(images)
    hook.remove()
    assert max(entered) == at_once * tokens
    assert sum(entered) == len(images) * tokens
    torch.testing.assert_close(logits, method(clip, images).detach(), atol=1e-5, rtol=0)


def test_a_frozen_form_needs_no_tokenizer(clip: CLIP) -> None:
    frozen, images = freeze(build(clip), clip).frozen, random_images(2)
    bare = make_clip(EVEN)
    del bare.tokenizer
    again = Conditional.from_state(frozen.state_dict(), bare, len(NAMES))
    assert torch.equal(again(bare, images), frozen(clip, images))
    assert frozen.name_tokens.shape == (len(NAMES), 6)
    assert frozen.name_tokens.dtype == torch.int64


def test_the_prompt_starts_from_words_or_at_random(clip: CLIP) -> None:
    words = clip.tokenizer.encode("a photo of a")
    expected = clip.text.words.weight[torch.tensor(words)]
    assert torch.equal(build(clip).text_prompt, expected)
    assert build(clip, initial_words="", length=7).text_prompt.std() < 0.03


def test_a_bottleneck_of_no_width_is_refused(clip: CLIP) -> None:
    with pytest.raises(RequestError, match=r"reduction is 49 .*48"):
        build(clip, reduction=49)
    for name in ("reduction", "length"):
        with pytest.raises(RequestError, match=f"{name} is 0"):
            build(clip, **{name: 0})


def test_the_recipe_is_the_published_one() -> None:
    recipe = CoCoOp.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (10, 1, 0.002)
    assert (recipe.optimizer, recipe.schedule, recipe.views) == ("sgd", "warm-up-cosine", 0)
    assert recipe == CoCoOp.recipe(1)
