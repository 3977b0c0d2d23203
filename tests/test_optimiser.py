"""The recipe's optimiser and its learning rates."""

from dataclasses import replace

import pytest
import torch

from crossprompt.methods import METHODS, Recipe, build_method
from crossprompt.optimiser import build_optimiser, learning_rate
from tests.backbone import NAMES, even_clip

DCP = METHODS["dcp"].recipe(shots=16)


def test_dcps_recipe_is_the_published_one() -> None:
    expected = Recipe(epochs=20, batch_size=4, lr=0.0035, momentum=0.9, weight_decay=5e-4)
    assert expected == DCP
    assert expected.first_lr == 1e-5


@pytest.mark.parametrize(
    ("epoch", "expected"),
    # design.md, section 5
    [(1, "1.000e-05"), (2, "3.500e-03"), (10, "2.291e-03"), (19, "1.907e-04"), (20, "8.565e-05")],
)
def test_the_learning_rates_are_those_of_the_design(epoch, expected) -> None:
    assert f"{learning_rate(epoch, DCP):.3e}" == expected


def test_the_optimiser_holds_every_parameter_and_the_recipes_settings() -> None:
    method = build_method("dcp", even_clip(), NAMES)
    recipe = replace(DCP, lr=0.1, momentum=0.5, weight_decay=0.25)
    (group,) = build_optimiser(method, recipe).param_groups
    assert [id(x) for x in group["params"]] == [id(x) for x in method.parameters()]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.5, 0.25)
    assert not group["nesterov"]
    assert isinstance(build_optimiser(method, recipe), torch.optim.SGD)
