"""Whether a Ray cluster has what a worker asks for: if not, it would be waited for for ever."""

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from crossprompt.errors import JobError, RequestError
from crossprompt.utils.optional import require_extra
from crossprompt.utils.text import one_line

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will once do, and warns of until then
    "RAY_DEDUP_LOGS": "1",
}
"""Environment variables of Ray, where the user has not set them."""


def import_ray() -> Any:
    """Ray.

    Raises:
        RequestError: it is not installed.
    """
    require_extra("ray", ["ray"], "--engine ray")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


@contextmanager
def connected(address: str | None, cpus: int) -> Iterator[Any]:
    """Ray, connected to a cluster for as long as the block takes; as it is, if it is already.

    Args:
        address: of a running cluster, ``auto`` for the one on this machine; None starts one.
        cpus: of the one that is started.

    Raises:
        JobError: there is no such cluster, or none can be started.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    room: dict[str, Any] = {"address": address}
    if address is None:
        room = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    stop = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**room, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = one_line(error)
        if address is None:
            raise JobError(f"Ray cannot start on this machine ({reason})") from error
        raise JobError(
            f"no Ray cluster answers at {address} ({reason}); check that it runs, and "
            "that RAY_AUTH_TOKEN is set to its token if it asks for one"
        ) from error
    if signal.getsignal(signal.SIGTERM) is not stop:  # Ray's would leave no time for order
        signal.signal(signal.SIGTERM, stop)
    try:
        yield ray
    finally:
        ray.shutdown()


GIGABYTE = 1_000_000_000
NAMES = {"CPU": "CPUs", "GPU": "GPUs", "memory": "GB of memory"}
"""Ray's resources, as the user knows them."""
STATUS = "__autoscaling_status"
"""Where Ray's autoscaler of the first version tells how it is."""
FIXED_TYPE = "node_"
"""What Ray's monitor calls the type of a node that nothing can launch, before its id."""


def count_room(asked: Mapping[str, float], nodes: Sequence[Mapping[str, Any]]) -> int:
    """How many workers have room at a time, each on one node.

    Args:
        asked: Ray's resource to amount; at least one above 0.
        nodes: as ``ray.nodes()`` lists them.
    """
    needed = {name: amount for name, amount in asked.items() if amount}
    return sum(
        min(int(room.get(name, 0.0) / amount) for name, amount in needed.items())
        for room in _rooms(nodes)
    )


def check_room(
    who: str,
    asked: Mapping[str, float],
    nodes: Sequence[Mapping[str, Any]],
    *,
    grows: bool,
    advice: str,
) -> str | None:
    """Compare what is asked for with what each node has in all.

    Args:
        who: asks for it, in a word.
        asked: Ray's resource to amount.
        nodes: as ``ray.nodes()`` lists them.
        grows: whether more nodes may come, of which nothing is known.
        advice: what to do, beside asking for less.

    Returns:
        A warning where no node has enough now, but one may come.

    Raises:
        RequestError: no node has, or will ever have, enough.
    """
    if count_room(asked, nodes):
        return None
    rooms = _rooms(nodes)
    largest = max(rooms, key=lambda room: _nearness(asked, room), default={})
    found = (
        f"each {who} asks for {_in_words(asked, asked)}, and of the {len(rooms)} nodes that Ray "
        f"has now none has that much; the largest has {_in_words(largest, asked)}"
    )
    if grows:
        return f"{found}; the cluster can grow, so it is waited until a node comes that has it"
    raise RequestError(f"{found}; {advice}")


def _rooms(nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, float]]:
    """Of the nodes that live: Ray's resource to amount."""
    return [node["Resources"] for node in nodes if node["Alive"]]


def _nearness(asked: Mapping[str, float], room: Mapping[str, float]) -> tuple[float, float]:
    """How many requests a node meets, and how far it comes with the others."""
    shares = [min(1.0, room.get(name, 0.0) / count) for name, count in asked.items() if count]
    return float(shares.count(1.0)), sum(shares)


def _in_words(amounts: Mapping[str, float], asked: Mapping[str, float]) -> str:
    """Those amounts of which some is asked."""
    words = []
    for name, what in NAMES.items():
        if asked.get(name):
            amount = amounts.get(name, 0.0) / (GIGABYTE if name == "memory" else 1)
            words.append(f"{amount:.4g} {what}")
    return " and ".join(words) or "nothing"


def grows(ray: Any) -> bool:
    """Whether the cluster may launch nodes; also where this Ray does not say.

    Args:
        ray: connected to the cluster.
    """
    try:
        from ray._private.state import state
        from ray.experimental.internal_kv import _internal_kv_get

        config, status = state.get_cluster_config(), _internal_kv_get(STATUS)
    except Exception:  # Ray's inside, which another release, or a remote client, may not have
        return True
    if config is not None and config.node_group_configs:
        return True
    return launches(status)


def launches(status: bytes | None) -> bool:
    """Whether the status that Ray's monitor keeps is of a cluster that launches its nodes.

    Args:
        status: JSON; None where no monitor runs, or has not run yet.
    """
    report = (json.loads(status) if status else {}).get("autoscaler_report") or {}
    types = [*(report.get("active_nodes") or {}), *(report.get("idle_nodes") or {})]
    pending = report.get("pending_launches") or report.get("pending_nodes")
    return bool(pending) or any(not name.startswith(FIXED_TYPE) for name in types)
