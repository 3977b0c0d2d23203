import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.counting import count_work
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.methods.features import Examples
from crossprompt.methods.promptsrc import PromptSRC, gaussian_weights
from crossprompt.methods.templates import spell_out
from crossprompt.training.config import TrainConfig
from crossprompt.training.train import train
from crossprompt.utils.progress import EpochReport
from tests.backbone import EVEN, NAMES, even_clip, random_images, write_items
from tests.methods.dense_prompts import dense_logits

LABELS = torch.tensor([0, 1, 2, 3])


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def build(clip: CLIP, names: tuple[str, ...] = NAMES, **options: Any) -> PromptSRC:
    method = build_method("promptsrc", clip, names, **options)
    assert isinstance(method, PromptSRC)
    return method


def test_logits_equal_the_dense_restatement(clip: CLIP) -> None:
    method, images = build(clip, depth=2), random_images(4)
    with torch.no_grad():
        for prompt in method.parameters():
            prompt.mul_(20)
    expected = dense_logits(clip, NAMES, images, method.text_prompts, method.image_prompts)
    assert expected.std() > 0.5
    torch.testing.assert_close(method(clip, images), expected, atol=2e-5, rtol=0)


def of_log(scores: list[float]) -> list[float]:
    total = math.log(sum(map(math.exp, scores)))
    return [score - total for score in scores]


def test_the_loss_equals_its_formula_on_a_case_made_by_hand(clip: CLIP, monkeypatch) -> None:
    """Two classes and one image; in the plane, features of other lengths than 1."""
    method = build(clip, NAMES[:2], text_weight=3.0, image_weight=5.0, logits_weight=7.0)
    embed = clip.config.embed
    text, known_text, image, known_image = torch.zeros(4, 2, embed)
    known_text[0, 0] = known_text[1, 1] = 2.0
    text[0, 0], text[1, 0], text[1, 1] = 5.0, 0.3, 0.4  # the second: (0.6, 0.8)
    image, known_image = image[:1], known_image[:1]
    known_image[0, 0], image[0, 1] = 4.0, 0.1
    monkeypatch.setattr(method.texts, "features", lambda clip: known_text)
    monkeypatch.setattr(clip, "encode_images", lambda images: known_image)
    monkeypatch.setattr(method, "encode_images", lambda *_: image)
    monkeypatch.setattr(method, "encode_classes", lambda *_: text)

    scale = clip.logit_scale.exp().item()
    prompted, known = of_log([0.0, 0.8 * scale]), of_log([scale, 0.0])
    divergence = sum(math.exp(k) * (k - p) for k, p in zip(known, prompted, strict=True)) / 2
    of_texts = (0.0 + 0.6 + 0.2) / (2 * embed)
    of_images = (1.0 + 1.0) / embed
    expected = -prompted[0] + 3 * of_texts + 5 * of_images + 7 * divergence
    found = method.loss(clip, random_images(1), torch.tensor([0]))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_weights_of_the_loss_are_the_published_ones(clip: CLIP) -> None:
    images = random_images(4)

    def loss(**options: float) -> float:
        return build(clip, **options).loss(clip, images, LABELS).item()

    names = ("text_weight", "image_weight", "logits_weight")
    alone = loss(**dict.fromkeys(names, 0.0))
    parts = [loss(**{**dict.fromkeys(names, 0.0), name: 1.0}) - alone for name in names]
    assert all(part > 1e-3 for part in parts)
    expected = alone + 25 * parts[0] + 10 * parts[1] + parts[2]
    assert loss() == pytest.approx(expected, rel=1e-4)


def test_frozen_texts_are_encoded_once_and_the_images_of_every_step_anew(clip, tmp_path) -> None:
    items, method = write_items(tmp_path, [0, 1, 2, 3]), build(clip, ensemble=["a {}", "red {}"])
    config = TrainConfig(epochs=2, batch_size=2)
    method.prepare(clip, Examples(clip, items))
    known = method.texts.features(clip).clone()
    with count_work(clip) as work:
        train(method, clip, items, config)
    steps = 1 + 4  # one measures the memory
    assert work.image.calls == [2 * steps] * EVEN.image.blocks
    assert work.text.calls == [1 + steps] * EVEN.text.blocks
    assert torch.equal(method.texts.features(clip), known)
    assert not known.requires_grad


def test_the_ensemble_is_of_sixty_templates_whatever_the_data(clip: CLIP) -> None:
    spelled = spell_out(PromptSRC.Config().ensemble)
    assert len(spelled) == 60
    assert len(spell_out(["imagenet"])) == len(set(spell_out(["imagenet"]))) == 80
    assert spelled == spell_out(["imagenet"])[:60]
    assert "template" not in PromptSRC.Config().to_json()  # which would be the data set's
    method, zero_shot = build(clip), build_method("zero_shot", clip, NAMES, template=spelled)
    assert torch.equal(method.texts.features(clip), zero_shot.texts.features(clip))


def test_epochs_weigh_as_a_gaussian_of_their_number() -> None:
    found = gaussian_weights(50, 30.0, 30.0)
    density = [math.exp(-((epoch - 30) ** 2) / (2 * 30**2)) for epoch in range(1, 51)]
    assert found == pytest.approx([x / sum(density) for x in density])
    assert found.index(max(found)) == 29
    assert sum(gaussian_weights(2, 45.0, 0.1)) == 1.0  # where each alone is zero in floating point
    assert PromptSRC.Config().gaussian_mean == PromptSRC.Config().gaussian_std == 30


EPOCHS = 3
OPTIONS = {"gaussian_mean": 2.0, "gaussian_std": 0.8, "depth": 2, "ensemble": ["a {}"]}


def learn(
    clip: CLIP, images: Path, seen: list[dict[str, Tensor]] | None = None, **options: Any
) -> dict[str, Tensor]:
    """Trained tensors; those after every epoch are put into ``seen``."""
    method, items = build(clip, **OPTIONS), write_items(images, [0, 1, 2, 3])

    def look(report: EpochReport) -> None:
        if seen is not None:
            seen.append({key: x.clone() for key, x in method.state_dict().items()})

    config = TrainConfig(epochs=EPOCHS, batch_size=2, lr=0.05)
    train(method, clip, items, config, on_epoch=look, **options)
    return method.state_dict()


def test_the_result_is_the_weighted_mean_of_the_epochs(clip: CLIP, tmp_path) -> None:
    seen: list[dict[str, Tensor]] = []
    found = learn(clip, tmp_path, seen)
    density = [math.exp(-0.5 * ((epoch - 2) / 0.8) ** 2) for epoch in (1, 2, 3)]
    assert len(seen) == EPOCHS
    for key, value in found.items():
        parts = [w * state[key] for w, state in zip(density, seen, strict=True)]
        torch.testing.assert_close(value, sum(parts) / sum(density), atol=1e-6, rtol=0)
        assert all((value - state[key]).abs().max() > 1e-5 for state in seen)


@pytest.mark.parametrize(
    "step", [*(pytest.param(step, marks=pytest.mark.slow) for step in (1, 3, 6)), 4]
)
def test_the_mean_of_an_interrupted_run_is_the_same_to_the_bit(clip, tmp_path, step) -> None:
    def interrupt(report: Any) -> None:
        if report.step == step:
            raise KeyboardInterrupt

    expected, run = learn(clip, tmp_path), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        learn(clip, tmp_path, folder=run, on_step=interrupt)
    for _ in range(2):  # the second time there is nothing left to do
        found = learn(clip, tmp_path, folder=run, resume=True)
        assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_the_recipe_is_the_published_one() -> None:
    recipe = PromptSRC.recipe(16)
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (50, 4, 0.0025)
    assert (PromptSRC.Config().length, PromptSRC.Config().depth) == (4, 9)
    assert recipe == PromptSRC.recipe(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_weight": -1.0}, "text_weight is -1.0"),
        ({"gaussian_std": 0.0}, "gaussian_std is 0.0"),
        ({"ensemble": ["a"]}, "ensemble is 'a'"),
        ({"ensemble": []}, "ensemble is empty"),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(
    clip: CLIP, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        build(clip, **options)
