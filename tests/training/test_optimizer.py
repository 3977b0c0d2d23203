"""The recipe's optimizer and its learning rates."""

from dataclasses import replace

import pytest
import torch

from crossprompt.methods import METHODS, Recipe, build_method
from crossprompt.training.train import build_optimizer, learning_rate
from tests.backbone import NAMES, even_clip

DCP = METHODS["dcp"].recipe(shots=16)


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
