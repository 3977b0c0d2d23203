"""What a cluster has room for, by a list of its nodes as Ray gives it."""

import json
from typing import Any

import pytest

from crossprompt.errors import RequestError
from crossprompt.utils.ray import check_room, count_room, launches


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"object_store_memory": 1e9, **resources}}


NODES = [
    node(CPU=4.0, memory=64e9),
    node(CPU=16.0, memory=32e9, GPU=2.0),
    node(alive=False, CPU=64.0, memory=900e9, GPU=8.0),
]


def check(nodes: list[dict[str, Any]] = NODES, grows: bool = False, **asked: float) -> str | None:
    return check_room("training", asked, nodes, grows=grows, advice="ask for less")


@pytest.mark.parametrize(
    "asked",
    [{"CPU": 16.0}, {"CPU": 4.0, "memory": 64e9}, {"CPU": 1.0, "GPU": 0.5}, {"GPU": 2.0}],
)
def test_what_one_node_has_can_be_asked_for(asked) -> None:
    assert check(**asked) is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"CPU": 17.0, "GPU": 1.0},
            "asks for 17 CPUs and 1 GPUs, and of the 2 nodes that Ray has now none has that much; "
            "the largest has 16 CPUs and 2 GPUs; ask for less",
        ),
        # each alone is there, but not on one node; and what a dead node had does not count
        ({"memory": 64e9, "GPU": 1.0}, "the largest has 2 GPUs and 32 GB of memory"),
        ({"CPU": 1.0, "GPU": 8.0}, "asks for 1 CPUs and 8 GPUs"),
        ({"memory": 65e9}, "asks for 65 GB of memory, .* the largest has 64 GB of memory"),
    ],
)
def test_what_no_node_has_is_refused_instead_of_waited_for(asked, told) -> None:
    with pytest.raises(RequestError, match=told):
        check(**asked)
    with pytest.raises(RequestError, match=r"of the 0 nodes .* the largest has 0 "):
        check([], **asked)


def test_workers_are_counted_on_every_node_by_itself() -> None:
    assert count_room({"CPU": 3.0}, NODES) == 1 + 5
    assert count_room({"CPU": 3.0, "GPU": 0.0}, NODES) == 6
    assert count_room({"CPU": 1.0, "GPU": 0.5}, NODES) == 4
    assert count_room({"CPU": 17.0}, NODES) == 0


def test_a_cluster_that_grows_may_have_it_later() -> None:
    warning = str(check(grows=True, GPU=4.0))
    assert "asks for 4 GPUs" in warning
    assert "it is waited until a node comes" in warning
    assert check(grows=True, GPU=2.0) is None


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"active_nodes": {"node_44cb": 1}, "idle_nodes": None, "pending_launches": {}}, False),
        ({"active_nodes": {"ray.head.default": 1}}, True),
        ({"active_nodes": {}, "idle_nodes": {"gpu workers": 2}}, True),
        ({"active_nodes": {}, "pending_launches": {"gpu": 1}}, True),
        (None, False),
    ],
)
def test_a_cluster_that_launches_nodes_is_told_from_one_that_was_started_by_hand(
    report, expected
) -> None:
    assert launches(json.dumps({"time": 1.0, "autoscaler_report": report}).encode()) is expected
    assert not launches(None)
