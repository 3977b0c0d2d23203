"""The cross product, as cells."""

from typing import Any

import pytest

from crossprompt.bench.grid import Grid
from crossprompt.bench.method_spec import parse_method
from crossprompt.data.registry import DATASETS
from crossprompt.errors import RequestError


def grid(*methods: str, **changes: Any) -> Grid:
    values: dict[str, Any] = {"datasets": ["emoji"], "shots": [1], "seeds": [1], **changes}
    return Grid(methods=[parse_method(word) for word in methods or ("coop",)], **values)


def test_every_combination_is_a_cell_once() -> None:
    cells = grid(
        "coop",
        "dcp",
        "dcp:length=16",  # its default
        datasets=["emoji", "a", "b"],
        shots=[1, 2],
        seeds=[1, 2, 3],
        protocols=["few-shot", "base-to-new"],
        backbones=["tiny", "other"],
    ).cells()
    assert len(cells) == len({cell.key for cell in cells}) == 3 * 2 * 2 * 3 * 2 * 2


def test_only_inference_by_batch_has_a_size_and_an_order() -> None:
    cells = grid(
        inference=["calibrated", "batch", "per-image"],
        test_batch_sizes=[4, 16],
        batch_orders=["sorted", "listed"],
    ).cells()
    found = [(cell.inference, cell.test_batch_size, cell.batch_order) for cell in cells]
    assert found == [
        ("calibrated", None, None),
        ("batch", 4, "sorted"),
        ("batch", 4, "listed"),
        ("batch", 16, "sorted"),
        ("batch", 16, "listed"),
        ("per-image", None, None),
    ]
    assert len({cell.of_training.key for cell in cells}) == 1


@pytest.mark.parametrize(
    ("word", "options", "training"),
    [
        ("dcp:length=16,epochs=20,batch-size=4", {}, {}),
        ("dcp:length=4,epochs=30", {"length": 4}, {"epochs": 30}),
        ("coop:lr=0.002,augment=true", {}, {}),
        # the recipe's for 8 shots, but not where all classes have fewer images
        ("coop:epochs=200", {}, {"epochs": 200}),
        # a data set's own template would take the place of the default
        ("zero_shot:template=a photo of a {}.", {"template": ("a photo of a {}.",)}, {}),
    ],
)
def test_a_cell_names_what_differs_from_defaults_and_recipe(word, options, training) -> None:
    (cell,) = grid(word, shots=[8]).cells()
    assert (cell.options, cell.training) == (options, training)


def test_settings_for_all_trainings_leave_out_methods_without_steps() -> None:
    cells = grid("zero_shot", "coop", "dcp:epochs=7", training={"epochs": 3}).cells()
    assert [cell.training for cell in cells] == [{}, {"epochs": 3}, {"epochs": 7}]


def test_a_data_set_of_several_domains_is_a_cell_for_each(monkeypatch) -> None:
    for name in ("office", "office:art", "office:photo", "officer"):
        monkeypatch.setitem(DATASETS, name, DATASETS["emoji"])
    cells = grid(datasets=["office", "emoji", "officer"]).cells()
    assert [cell.dataset for cell in cells] == ["office:art", "office:photo", "emoji", "officer"]


def test_the_targets_stand_in_the_cell() -> None:
    cells = grid(datasets=["a", "b", "c"], protocols=["cross-dataset"]).cells()
    assert [cell.targets for cell in cells] == [("b", "c"), ("a", "c"), ("a", "b")]
    (cell,) = grid(datasets=["a"], targets=["b", "a"], protocols=["cross-dataset"]).cells()
    assert cell.targets == ("b",)
    assert cell.to_json()["targets"] == ["b"]
    (cell,) = grid(datasets=["a"]).cells()
    assert "targets" not in cell.to_json()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"protocols": ["few-shots"]}, "protocol 'few-shots'.*'few-shot'"),
        ({"inference": ["zzz"]}, "inference 'zzz'.*calibrated"),
        ({"batch_orders": ["sort"]}, "batch order 'sort'.*'sorted'"),
        ({"shots": [1, 0]}, "shots is 0"),
        ({"seeds": [-1]}, "seed is -1"),
        ({"targets": ["b"]}, "--targets"),
        ({"training": {"epochs": 0}}, "epochs is 0"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_it(changes, match) -> None:
    with pytest.raises(RequestError, match=match):
        grid("coop", **changes).cells()


def test_a_setting_that_a_method_would_ignore_is_an_error_where_it_is_its_own() -> None:
    with pytest.raises(RequestError, match=r"zero_shot.*epochs"):
        grid("zero_shot:epochs=3").cells()
