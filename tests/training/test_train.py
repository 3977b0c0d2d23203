"""The training loop: what is repeatable, what is kept, and what stops it."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossprompt import CLIP, TrainConfig, build_method, train
from crossprompt.data import images as ahead
from crossprompt.data.dataset import Item
from crossprompt.errors import JobError, RequestError
from crossprompt.methods import METHODS, Method, Recipe
from crossprompt.methods.coop import CoOp
from crossprompt.methods.features import images_of
from crossprompt.training import config as run_module
from crossprompt.training.checkpoint import LOG, STATE, recipe_to_json
from crossprompt.training.train import build_optimizer, learning_rate
from crossprompt.utils.progress import EpochReport, StepReport
from tests.backbone import NAMES, even_clip, with_blocks, write_items
from tests.clip.random_clip import make_clip
from tests.unchecked import made

CONFIG = TrainConfig(epochs=3, batch_size=4, lr=0.0035, seed=2)
STEPS = 6
"""Steps of ``CONFIG`` on eight images."""
DCP = METHODS["dcp"].recipe(shots=16)


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return write_items(tmp_path / "images", [0, 1, 2, 3] * 2)


@cache
def narrow_clip() -> CLIP:
    return make_clip(with_blocks(2))


def make(name: str = "coop") -> Method:
    return build_method(name, narrow_clip(), NAMES, length=2)


def learn(
    items: list[Item], name: str = "coop", config: TrainConfig = CONFIG, **options: Any
) -> tuple[dict[str, Tensor], list[float]]:
    """The learned tensors and the loss of every epoch."""
    method = make(name)
    reports = train(method, narrow_clip(), items, config, **options)
    return method.state_dict(), [report.loss for report in reports]


def assert_identical(
    found: tuple[dict[str, Tensor], list[float]], expected: tuple[dict[str, Tensor], list[float]]
) -> None:
    assert found[1] == expected[1]
    assert found[0].keys() == expected[0].keys()
    assert all(torch.equal(found[0][key], expected[0][key]) for key in expected[0])


def interrupt_at(step: int) -> Callable[[StepReport], None]:
    def interrupt(report: StepReport) -> None:
        if report.step == step:
            raise KeyboardInterrupt

    return interrupt


def test_the_learned_tensors_change_and_every_epoch_is_reported(items) -> None:
    before, method, steps = make("dcp").state_dict(), make("dcp"), list[StepReport]()
    reports = train(method, narrow_clip(), items, CONFIG, on_step=steps.append)
    assert all(not torch.equal(value, before[key]) for key, value in method.state_dict().items())
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert [report.lr for report in reports] == [1e-5, 0.0035, pytest.approx(0.0035 * 0.75)]
    assert [(step.step, step.steps, step.images) for step in steps] == [
        (number, STEPS, 4) for number in range(1, STEPS + 1)
    ]
    assert reports[0].loss == pytest.approx((steps[0].loss + steps[1].loss) / 2)
    assert not method.training


def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(items, monkeypatch) -> None:
    expected = learn(items)
    monkeypatch.setattr(ahead, "WORKERS", 1)
    assert_identical(learn(items), expected)
    monkeypatch.setattr(ahead, "WORKERS", 7)
    torch.rand(3)  # nor does the global generator matter
    assert_identical(learn(items), expected)


def test_another_seed_gives_another_result(items) -> None:
    assert learn(items, config=replace(CONFIG, seed=3))[1] != learn(items)[1]


def test_without_augmentation_images_are_as_in_the_test(items) -> None:
    clip, method = narrow_clip(), make()
    config = TrainConfig(epochs=1, batch_size=8, augment=False)
    (report,) = train(method, clip, items, config)
    from crossprompt.data import read_image

    images = torch.stack([clip.preprocess(read_image(item.path)) for item in items])
    labels = torch.tensor([item.label for item in items])
    assert report.loss == pytest.approx(
        make().loss(clip, clip.encode_images(images), labels).item(), abs=1e-5
    )
    assert train(make(), clip, items, replace(config, augment=True))[0].loss != report.loss


@pytest.mark.parametrize(("name", "encoded"), [("coop", 8), ("dcp", 3 * 8 + 4)])
def test_an_image_that_does_not_change_is_encoded_once(items, name, encoded) -> None:
    clip = make_clip(with_blocks(2))
    seen = []
    clip.image.patches.register_forward_hook(lambda *call: seen.append(len(call[1][0])))
    method = build_method(name, clip, NAMES, length=2)
    train(method, clip, items, replace(CONFIG, augment=False))
    assert sum(seen) == encoded  # of 8 images in 3 epochs; a batch of 4 to measure the memory


def test_cached_features_teach_the_same_as_the_images(items, monkeypatch) -> None:
    config = replace(CONFIG, augment=False)
    cached, _ = learn(items, config=config)
    monkeypatch.setattr(
        run_module, "features_of", lambda items, clip: images_of(items, clip, 0, None)
    )
    slow, _ = learn(items, config=config)
    torch.testing.assert_close(cached, slow, atol=1e-5, rtol=0)


def test_as_many_views_as_epochs_teach_the_same_as_new_crops(items) -> None:
    fresh, _ = learn(items)
    cached, _ = learn(items, config=replace(CONFIG, views=3))
    torch.testing.assert_close(cached, fresh, atol=1e-5, rtol=0)
    two, _ = learn(items, config=replace(CONFIG, views=2))
    assert (two["text_prompt"] - fresh["text_prompt"]).abs().max() > 1e-5


def test_views_are_encoded_once(items) -> None:
    clip, seen = make_clip(with_blocks(2)), []
    clip.image.patches.register_forward_hook(lambda *call: seen.append(len(call[1][0])))
    method = build_method("coop", clip, NAMES, length=2)
    train(method, clip, items, replace(CONFIG, views=2))
    assert sum(seen) == 2 * 8
    seen.clear()
    train(method, clip, items, replace(CONFIG, views=100))  # no more than there are epochs
    assert sum(seen) == 3 * 8


def test_the_learning_rate_may_change_from_step_to_step(items, monkeypatch) -> None:
    recipe = replace(CoOp.recipe(2), schedule="cosine")
    monkeypatch.setattr(CoOp, "recipe", classmethod(lambda cls, shots: recipe))
    steps = list[StepReport]()
    reports = train(make(), narrow_clip(), items, replace(CONFIG, lr=0.1), on_step=steps.append)
    expected = [0.05 * (1 + math.cos(math.pi * step / STEPS)) for step in range(STEPS)]
    assert [step.lr for step in steps] == pytest.approx(expected)
    assert [report.lr for report in reports] == pytest.approx(expected[::2])


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("adamw", marks=pytest.mark.slow)])
def test_a_run_with_another_optimizer_resumes_to_the_same_bits(
    items, tmp_path, monkeypatch, optimizer
) -> None:
    recipe = replace(CoOp.recipe(2), optimizer=optimizer, schedule="cosine")
    monkeypatch.setattr(CoOp, "recipe", classmethod(lambda cls, shots: recipe))
    expected = learn(items)
    with pytest.raises(KeyboardInterrupt):
        learn(items, folder=tmp_path, on_step=interrupt_at(4))
    assert_identical(learn(items, folder=tmp_path, resume=True), expected)


def test_everything_of_the_recipe_is_told() -> None:
    config = TrainConfig(epochs=7, augment=False, seed=3)
    told = recipe_to_json(config.recipe_of(CoOp, 16), config.seed)
    expected = asdict(replace(CoOp.recipe(16), epochs=7, augment=False))
    expected["optimiser"] = expected.pop("optimizer")  # the key that files have
    assert told == {**expected, "seed": 3}
    assert {"optimiser", "schedule", "eps", "views"} <= told.keys()


def test_views_are_refused_where_every_step_needs_the_image_tower(items) -> None:
    with pytest.raises(RequestError, match=r"dcp .* views"):
        train(make("dcp"), narrow_clip(), items, replace(CONFIG, views=2))


def test_training_leaves_the_global_generator_alone(items) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    learn(items)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("coop", 3),
        ("dcp", 5),
        *(pytest.param("coop", step, marks=pytest.mark.slow) for step in (1, 2, 6)),
    ],
)
def test_a_run_interrupted_at_any_step_resumes_to_the_same_bits(
    items, tmp_path, name, step
) -> None:
    expected = learn(items, name)
    with pytest.raises(KeyboardInterrupt):
        learn(items, name, folder=tmp_path, on_step=interrupt_at(step))
    done = list[StepReport]()
    found = learn(items, name, folder=tmp_path, resume=True, on_step=done.append)
    assert_identical(found, expected)
    assert done[0].step == 1 + 2 * ((step - 1) // 2)  # finished epochs are not computed again


@pytest.mark.parametrize("name", [STATE, LOG])
@pytest.mark.parametrize("epoch", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_dies_while_it_writes_resumes_to_the_same_bits(
    items, tmp_path, monkeypatch, name, epoch
) -> None:
    from crossprompt.training import checkpoint as state

    expected, atomic_write, writes = learn(items), state.atomic_write, []

    def die(path: Path, write: Callable[[Path], object]) -> None:
        writes.append(path.name)
        if writes.count(name) == epoch and path.name == name:
            path.with_name(f".{path.name}.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        atomic_write(path, write)

    monkeypatch.setattr(state, "atomic_write", die)
    with pytest.raises(KeyboardInterrupt):
        learn(items, folder=tmp_path / "run")
    monkeypatch.undo()
    assert_identical(learn(items, folder=tmp_path / "run", resume=True), expected)
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.suffix) == [LOG, STATE]


def test_a_finished_run_resumes_to_itself(items, tmp_path) -> None:
    expected = learn(items, folder=tmp_path / "run")
    (tmp_path / "run" / LOG).unlink()
    assert_identical(learn(items, folder=tmp_path / "run", resume=True), expected)
    assert len((tmp_path / "run" / LOG).read_text().splitlines()) == 3


def test_a_run_without_resume_starts_afresh(items, tmp_path) -> None:
    learn(items, folder=tmp_path / "run")
    done = list[StepReport]()
    learn(items, folder=tmp_path / "run", on_step=done.append)
    assert len(done) == STEPS


def test_the_log_has_a_line_for_every_epoch(items, tmp_path) -> None:
    seen = list[EpochReport]()
    train(make(), narrow_clip(), items, CONFIG, folder=tmp_path, on_epoch=seen.append)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["loss"] for line in lines] == [report.loss for report in seen]
    assert lines[1]["lr"] == 0.0035
    assert all(line["images_per_second"] > 0 for line in lines)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"lr": 0.5}, "lr 0.0035, now 0.5"), ({"seed": 9}, "seed 2, now 9"), ({"epochs": 4}, "now 4")],
)
def test_a_state_of_other_settings_is_refused(items, tmp_path, change, told) -> None:
    learn(items, folder=tmp_path)
    with pytest.raises(RequestError, match=re.escape(told)):
        learn(items, folder=tmp_path, resume=True, config=replace(CONFIG, **change))


def test_a_state_of_other_images_is_refused(items, tmp_path) -> None:
    learn(items, folder=tmp_path)
    with pytest.raises(RequestError, match="contents"):
        learn(items[::-1], folder=tmp_path, resume=True)


def spoiled(at: int) -> Method:
    """Whose loss is not a number in one step, counted from 1; call 0 measures the memory."""
    method, calls = make(), count(0)

    class Spoiled(type(method)):  # type: ignore[misc]
        def loss(self, clip: CLIP, inputs: Tensor, labels: Tensor) -> Tensor:
            loss = super().loss(clip, inputs, labels)
            return loss * (torch.nan if next(calls) == at else 1)

    method.__class__ = Spoiled
    return method


def test_a_loss_that_is_not_finite_stops_with_the_last_good_state_kept(items, tmp_path) -> None:
    method = spoiled(at=4)
    with pytest.raises(JobError, match=r"nan.*epoch 2, step 2.*epoch 1"):
        train(method, narrow_clip(), items, CONFIG, folder=tmp_path)
    assert all(value.isfinite().all() for value in method.state_dict().values())
    assert_identical(learn(items, folder=tmp_path, resume=True), learn(items))


def test_nothing_is_said_of_a_state_where_there_is_none(items, tmp_path) -> None:
    for at, folder in ((1, tmp_path), (4, None)):
        with pytest.raises(JobError) as caught:
            train(spoiled(at), narrow_clip(), items, CONFIG, folder=folder)
        assert "kept" not in str(caught.value)
        assert "--lr" in str(caught.value)
        assert "fp32" not in str(caught.value)  # it is fp32 already


def test_a_tensor_spoiled_in_an_epochs_last_step_is_not_kept(items, tmp_path) -> None:
    method = make()

    def spoil(report: StepReport) -> None:
        if report.step == 4:
            with torch.no_grad():
                next(method.parameters()).view(-1)[0] = torch.inf

    with pytest.raises(JobError, match=r"epoch 2.*epoch 1"):
        train(method, narrow_clip(), items, CONFIG, folder=tmp_path, on_step=spoil)
    assert_identical(learn(items, folder=tmp_path, resume=True), learn(items))


def test_a_method_without_steps_has_no_reports_and_no_ignored_settings(items) -> None:
    probe = build_method("linear_probe", narrow_clip(), NAMES)
    assert train(probe, narrow_clip(), items) == []
    for ignored in (
        {"epochs": 3},
        {"lr": 0.1},
        {"batch_size": 2},
        {"augment": False},
        {"smallest_crop": 0.5},
        {"memory_limit": 8.0},
        {"views": 3},
    ):
        with pytest.raises(RequestError, match=next(iter(ignored))):
            train(probe, narrow_clip(), items, TrainConfig(**ignored))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 2.5}, "epochs is 2.5"),
        ({"batch_size": "8"}, "batch_size is '8'"),
        ({"seed": 10**12}, "seed is 1000000000000"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"memory_limit": -1.0}, "memory_limit is -1.0"),
        ({"smallest_crop": 0.0}, "smallest_crop is 0.0"),
        ({"smallest_crop": 0.5, "augment": False}, "smallest_crop"),
        ({"views": 3, "augment": False}, "views"),
        ({"views": -1}, "views is -1"),
    ],
)
def test_an_impossible_setting_is_refused(settings, told) -> None:
    with pytest.raises(RequestError, match=told):
        made(TrainConfig, **settings)


def test_images_without_a_class_are_refused(items) -> None:
    with pytest.raises(RequestError, match=r"0 to 4.* 0 to 3"):
        train(make(), narrow_clip(), [*items, Item(items[0].path, 4)])
    with pytest.raises(RequestError, match="images"):
        train(make(), narrow_clip(), [])


def test_dcps_recipe_is_the_published_one() -> None:
    expected = Recipe(epochs=20, batch_size=4, lr=0.0035, momentum=0.9, weight_decay=5e-4)
    assert expected == DCP
    assert expected.first_lr == 1e-5


def test_a_cosine_follows_pytorchs_schedule_from_step_to_step() -> None:
    recipe = replace(DCP, epochs=3, lr=0.1, schedule="cosine", last_lr=0.001)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * 4, eta_min=0.001)
    for step in range(3 * 4):
        found = learning_rate(1 + step // 4, recipe, (step % 4) / 4)
        assert found == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        schedule.step()


def test_the_warm_up_is_the_same_in_all_of_an_epoch() -> None:
    for epoch in (1, 2, 20):
        assert learning_rate(epoch, DCP, 0.9) == learning_rate(epoch, DCP)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    # design.md, section 5
    [(1, "1.000e-05"), (2, "3.500e-03"), (10, "2.291e-03"), (19, "1.907e-04"), (20, "8.565e-05")],
)
def test_the_learning_rates_are_those_of_the_design(epoch, expected) -> None:
    assert f"{learning_rate(epoch, DCP):.3e}" == expected


def test_the_optimizer_holds_every_parameter_and_the_recipes_settings() -> None:
    method = build_method("dcp", even_clip(), NAMES)
    recipe = replace(DCP, lr=0.1, momentum=0.5, weight_decay=0.25)
    (group,) = build_optimizer(method, recipe).param_groups
    assert [id(x) for x in group["params"]] == [id(x) for x in method.parameters()]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.5, 0.25)
    assert not group["nesterov"]
    assert isinstance(build_optimizer(method, recipe), torch.optim.SGD)


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_a_recipe_may_name_another_optimizer(name, kind) -> None:
    method = build_method("coop", even_clip(), NAMES)
    recipe = replace(DCP, optimizer=name, lr=0.1, weight_decay=0.25, eps=1e-4)
    optimizer = build_optimizer(method, recipe)
    (group,) = optimizer.param_groups
    assert type(optimizer) is kind
    assert (group["lr"], group["eps"], group["weight_decay"]) == (0.1, 1e-4, 0.25)


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs"),
    [(96, 32, 167), (112, 32, 167), (32, 32, 500), (10, 32, 500), (1600, 32, 10), (96, 48, 250)],
)
def test_a_recipe_in_steps_takes_as_many_whole_epochs_as_make_them(
    images: int, batch_size: int, epochs: int
) -> None:
    recipe = replace(DCP, epochs=0, steps=500, batch_size=batch_size)
    assert recipe.trains
    assert recipe.for_images(images).epochs == epochs
    assert DCP.for_images(images) == DCP
