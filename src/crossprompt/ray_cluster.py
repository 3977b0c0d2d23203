"""A connection to Ray, which is an extra."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crossprompt.errors import JobError
from crossprompt.extras import require_extra
from crossprompt.wording import one_line

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
