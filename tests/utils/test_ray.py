"""A call's resources against a list of nodes as Ray gives it."""

from typing import Any

import pytest

from crossprompt.errors import RequestError
from crossprompt.utils.ray import Cluster


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"object_store_memory": 1e9, **resources}}


NODES = [
    node(CPU=4.0, memory=64e9),
    node(CPU=16.0, memory=32e9, GPU=2.0),
    node(alive=False, CPU=64.0, memory=900e9, GPU=8.0),
]


@pytest.mark.parametrize(
    "request_of_a_call",
    [{"cpus": 16}, {"cpus": 4, "memory": 64.0}, {"cpus": 1, "gpus": 0.5}, {"gpus": 2.0}],
)
def test_what_one_node_has_can_be_requested(request_of_a_call) -> None:
    said: list[str] = []
    Cluster(**request_of_a_call).check(NODES, said.append)
    assert said == []


@pytest.mark.parametrize(
    ("request_of_a_call", "value"),
    [
        ({"cpus": 17, "gpus": 1.0}, "17 CPUs, 1 GPUs"),
        # each alone is there, but not on one node; and what a dead node had does not count
        ({"memory": 64.0, "gpus": 1.0}, "1 GPUs and 64 GB"),
        ({"gpus": 8.0}, "8 GPUs"),
    ],
)
def test_what_no_node_has_is_refused_here_and_awaited_on_a_running_cluster(
    request_of_a_call, value
) -> None:
    with pytest.raises(RequestError, match=f"{value}.*--ray-address"):
        Cluster(**request_of_a_call).check(NODES, print)
    said: list[str] = []
    Cluster("auto", **request_of_a_call).check(NODES, said.append)
    assert value in said[0]
