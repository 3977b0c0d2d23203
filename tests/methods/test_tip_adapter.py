"""Tip-Adapter and Tip-Adapter-F."""

import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossprompt import TrainConfig, freeze, train
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods import Method, build_method, tip_adapter
from crossprompt.methods.features import Examples, images_of
from crossprompt.methods.tip_adapter import TipAdapter, TipAdapterF
from crossprompt.training.checkpoint import LOG
from tests.backbone import NAMES, even_clip, random_images, write_items

BOTH = pytest.mark.parametrize("name", ["tip_adapter", "tip_adapter_f"])
CONFIG = TrainConfig(epochs=3, batch_size=4, lr=0.01)


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return write_items(tmp_path / "train", [0, 1, 2, 3, 0, 1])


@pytest.fixture
def val(tmp_path: Path) -> list[Item]:
    return write_items(tmp_path / "val", [0, 1, 2, 3] * 2)


def make(name: str, clip: CLIP, examples: Examples, **options: Any) -> Method:
    method = build_method(name, clip, NAMES, **options)
    method.prepare(clip, examples)
    return method


def unit(x: Tensor) -> Tensor:
    return x / x.norm()


def written_out(
    clip: CLIP, image: Tensor, keys: list[Tensor], labels: list[int], alpha: float, beta: float
) -> list[float]:
    """One image, class after class and key after key."""
    feature = unit(clip.encode_images(image[None])[0])
    scores = []
    for label, name in enumerate(NAMES):
        text = clip.encode_texts(clip.tokenizer.tokenize_texts([f"a photo of a {name}."]))[0, 0]
        score = clip.logit_scale.exp().item() * (feature @ unit(text)).item()
        for key, value in zip(keys, labels, strict=True):
            if value == label:
                score += alpha * math.exp(-beta * (1 - (feature @ key).item()))
        scores.append(score)
    return scores


@BOTH
def test_scores_equal_the_formula_written_with_loops(name: str, clip: CLIP, items) -> None:
    method = make(name, clip, Examples(clip, items, seed=4), passes=3, alpha=2.5, beta=5.5)
    read = images_of(items, clip, 4, tip_adapter.SMALLEST_CROP)
    keys = []
    for position in range(len(items)):
        crops = [read(position, epoch)[None] for epoch in (-2, -1, 0)]
        keys.append(unit(sum(clip.encode_images(crop)[0] for crop in crops)))
    labels, images = [item.label for item in items], random_images(3)
    expected = [written_out(clip, image, keys, labels, 2.5, 5.5) for image in images]
    without = [written_out(clip, image, keys, labels, 0.0, 5.5) for image in images]
    assert (torch.tensor(expected) - torch.tensor(without)).abs().max() > 0.1
    torch.testing.assert_close(
        method(clip, images).detach(), torch.tensor(expected), atol=1e-4, rtol=0
    )


@BOTH
def test_without_passes_a_key_is_the_whole_images_feature(name: str, clip: CLIP, items) -> None:
    examples = Examples(clip, items)
    keys = make(name, clip, examples, passes=0).state_dict()["keys"]
    expected = torch.from_numpy(examples.train_features.normalized)
    torch.testing.assert_close(keys, expected)


@BOTH
def test_without_the_cache_it_is_zero_shot(name: str, clip: CLIP, items) -> None:
    images, zero_shot = random_images(3), build_method("zero_shot", clip, NAMES)
    method = make(name, clip, Examples(clip, items), alpha=0.0)
    torch.testing.assert_close(method(clip, images), zero_shot(clip, images))


@BOTH
def test_alpha_and_beta_are_the_first_best_on_the_validation_images(
    name: str, clip: CLIP, items, val, monkeypatch
) -> None:
    alphas, betas = (0.5, 30.0, 400.0), (0.5, 3.0, 9.0)
    monkeypatch.setattr(tip_adapter, "ALPHAS", alphas)
    monkeypatch.setattr(tip_adapter, "BETAS", betas)
    config = CONFIG if name == "tip_adapter_f" else None
    method, images = build_method(name, clip, NAMES), Examples(clip, val).calibration
    train(method, clip, items, config)
    answers = {}
    for beta, alpha in product(betas, alphas):
        method.alpha.fill_(alpha)
        method.beta.fill_(beta)
        answers[alpha, beta] = method(clip, images).argmax(-1).tolist()
    wanted = answers[400.0, 9.0]  # these labels make the last of the grid right
    assert answers[0.5, 0.5] != wanted
    val = [Item(item.path, label) for item, label in zip(val, wanted, strict=True)]
    again = build_method(name, clip, NAMES)
    train(again, clip, items, config, val=val)
    first = next(key for key, answer in answers.items() if answer == wanted)
    assert (again.alpha.item(), again.beta.item()) == first


@BOTH
def test_what_is_set_is_not_searched(name: str, clip: CLIP, items, val) -> None:
    method = build_method(name, clip, NAMES, alpha=77.0)
    train(method, clip, items, CONFIG if name == "tip_adapter_f" else None, val=val)
    assert method.alpha.item() == 77.0
    assert any(method.beta.item() == pytest.approx(beta) for beta in tip_adapter.BETAS)


@BOTH
def test_without_validation_images_they_are_what_the_search_starts_from(
    name: str, clip: CLIP, items
) -> None:
    method = build_method(name, clip, NAMES)
    train(method, clip, items, CONFIG if name == "tip_adapter_f" else None)
    assert (method.alpha.item(), method.beta.item()) == (pytest.approx(1.17), 1.0)


def test_the_grid_is_the_published_one() -> None:
    assert (len(tip_adapter.ALPHAS), len(tip_adapter.BETAS)) == (20, 200)
    assert tip_adapter.ALPHAS[:2] == (0.1, pytest.approx(0.245))
    assert tip_adapter.BETAS[:2] == (0.1, pytest.approx(0.1345))


@pytest.mark.parametrize("method", [TipAdapter, TipAdapterF])
def test_a_key_is_the_mean_over_ten_crops(method: type[TipAdapter | TipAdapterF]) -> None:
    assert method.Config().passes == 10


def test_training_moves_the_keys_and_nothing_else(clip: CLIP, items) -> None:
    method = make("tip_adapter_f", clip, Examples(clip, items))
    before = {key: value.clone() for key, value in method.state_dict().items()}
    train(method, clip, items, CONFIG)
    after = method.state_dict()
    assert [key for key in before if not torch.equal(before[key], after[key])] == ["keys"]
    assert [key for key, _ in method.named_parameters()] == ["keys"]
    assert method.count_parameters(shots=2) == 2 * len(NAMES) * clip.config.embed


def test_the_recipe_is_the_published_one() -> None:
    recipe = TipAdapterF.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.views) == (20, 256, 1e-3, 10)
    assert (recipe.optimizer, recipe.eps, recipe.weight_decay) == ("adamw", 1e-4, 0.01)
    assert (recipe.schedule, recipe.smallest_crop) == ("cosine", 0.5)
    assert recipe == TipAdapterF.recipe(1)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_an_interrupted_training_resumes_to_the_same_bits(
    clip: CLIP, items, val, tmp_path, epoch: int
) -> None:
    def learn(**options: Any) -> dict[str, Tensor]:
        method = build_method("tip_adapter_f", clip, NAMES)
        train(method, clip, items, CONFIG, val=val, **options)
        return method.state_dict()

    def stop(report: Any) -> None:
        if report.epoch == epoch:
            raise KeyboardInterrupt

    expected = learn()
    with pytest.raises(KeyboardInterrupt):
        learn(folder=tmp_path / "run", on_epoch=stop)
    assert len((tmp_path / "run" / LOG).read_text().splitlines()) == epoch
    found = learn(folder=tmp_path / "run", resume=True)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@BOTH
def test_a_class_without_training_images_is_left_to_its_text(name: str, clip: CLIP, items) -> None:
    few = [item for item in items if item.label != 2]
    method, images = make(name, clip, Examples(clip, few)), random_images(3)
    zero_shot = build_method("zero_shot", clip, NAMES)(clip, images)
    found = freeze(method, clip, few).logits(images)
    torch.testing.assert_close(found[:, 2], zero_shot[:, 2])
    assert (found[:, 1] - zero_shot[:, 1]).min() > 0.01


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        {"keys": torch.zeros(6, 47)},
        {"keys": torch.zeros(5, 48)},
        {"values": torch.zeros(6, 3)},
        {"keys": torch.zeros(10**12, 0)},
        {"keys": torch.tensor(1.0)},
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    name: str, clip: CLIP, items, change: dict[str, Tensor]
) -> None:
    method = make(name, clip, Examples(clip, items), passes=0)
    with pytest.raises(RuntimeError, match="size mismatch"):
        build_method(name, clip, NAMES).load_state_dict({**method.state_dict(), **change})


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": -1}, "passes is -1"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"beta": float("nan")}, "beta is nan"),
        ({"template": ["a"]}, "template is 'a'"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    name: str, clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=f"{name}: {message}"):
        build_method(name, clip, NAMES, **options)
