"""Runs a function on the workers of a Ray cluster; the calls of a lost worker are repeated."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any, TypeVar

import joblib

from crossprompt.errors import JobError, RequestError
from crossprompt.utils.optional import require_extra
from crossprompt.utils.progress import NOTE
from crossprompt.utils.text import one_line

Task = TypeVar("Task")
RETRIES = 3
"""Times a call is repeated when its worker is lost."""
SUBMITTED = 1000
"""Calls that Ray is given at a time, where it decides how many of them run."""
GIGABYTE = 1_000_000_000
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the future default, warned of until then
    "RAY_DEDUP_LOGS": "1",
}
"""Environment variables of Ray, where the user has not set them."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and the resources that every call requests of a single node.

    Args:
        address: of a running cluster, ``auto`` for the one on this machine; None starts one for as
            long as it is used.
        workers: calls at a time; by default as many as the cluster has resources for.
        cpus: CPUs of a call.
        gpus: GPUs of a call, also a part of one.
        memory: gigabytes of a call.
        retries: times a call is repeated when its worker is lost.
    """

    address: str | None = None
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    memory: float | None = None
    retries: int = RETRIES

    @contextmanager
    def connected(self, say: Callable[[str], object] | None = None) -> Iterator[Any]:
        """Connect to the cluster, or start it, until the block ends; yields the package ``ray``.

        ``say`` receives a warning where no node has the resources yet; by default it is printed.

        Raises:
            RequestError: Ray is not installed, or this machine lacks the resources of a call.
            JobError: there is no such cluster, or none can be started.
        """
        ray = import_ray()
        if ray.is_initialized():
            yield ray
            return
        where: dict[str, Any] = {"address": self.address}
        if self.address is None:
            workers = self.workers or max(1, joblib.cpu_count() // self.cpus)
            cpus = workers * self.cpus
            where = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
        stop = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            place = "on this machine" if self.address is None else f"at {self.address}"
            raise JobError(
                f"no Ray cluster {place} ({one_line(error)}); check that it runs, and that "
                "RAY_AUTH_TOKEN is set to its token if it asks for one"
            ) from error
        if signal.getsignal(signal.SIGTERM) is not stop:  # Ray's handler exits without cleanup
            signal.signal(signal.SIGTERM, stop)
        try:
            self.check(ray.nodes(), say or (lambda text: print(text, file=sys.stderr)))
            yield ray
        finally:
            ray.shutdown()

    def check(self, nodes: Iterable[Any], say: Callable[[str], object]) -> None:
        """Compare a call's resources with those of each of ``ray.nodes()``.

        ``say`` receives a warning where no node has enough, but one may join.

        Raises:
            RequestError: no node has enough, and none will join.
        """
        request = {"CPU": self.cpus, "GPU": self.gpus, "memory": (self.memory or 0) * GIGABYTE}
        alive = [node["Resources"] for node in nodes if node["Alive"]]
        if any(all(node.get(k, 0) >= x for k, x in request.items()) for node in alive):
            return
        text = (
            f"no Ray node has {self.cpus} CPUs, {self.gpus:g} GPUs and {self.memory or 0:g} GB of "
            "memory, which each worker requests"
        )
        if self.address is None:
            raise RequestError(
                f"{text}; request less (--threads, --gpus, --memory), or name a cluster with "
                "--ray-address"
            )
        say(f"{NOTE}{text}; waiting until one joins the cluster")

    def map(
        self,
        function: Callable[[Any, Task], Any],
        calls: Iterable[tuple[Any, Task]],
        on_lost: Callable[[Task, Exception], Any],
        *,
        ordered: bool = True,
    ) -> Iterator[Any]:
        """Call a function on the workers, inside ``connected``.

        Args:
            function: takes the state of its worker, and a task.
            calls: each a task and the ``ray.put`` reference of a function that makes the state for
                it, which a worker keeps for the tasks of the same reference; taken as needed.
            on_lost: gives the result of a task whose worker was lost too often, or that raised.
            ordered: results in the order of the calls, or as soon as each is known.
        """
        ray, here = import_ray(), os.getcwd()
        remote = ray.remote(_call).options(
            name="crossprompt",
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_retries=self.retries,
            **({} if self.memory is None else {"memory": int(self.memory * GIGABYTE)}),
        )
        calls, limit = iter(calls), self.workers or SUBMITTED
        waiting: dict[Any, Task] = {}  # results that were not yielded yet, in order
        running: list[Any] = []
        while True:
            for reference, task in islice(calls, limit - len(running)):
                # in a list, as Ray would replace the reference by the function itself
                result = remote.remote(function, [reference], task, here)
                waiting[result] = task
                running.append(result)
            if not running:
                return
            done, running = ray.wait(running, num_returns=1)
            finished = waiting.keys() - set(running)
            first = takewhile(finished.__contains__, waiting)
            for result in list(first) if ordered else done:
                task = waiting.pop(result)
                try:
                    yield ray.get(result)
                except ray.exceptions.RayError as error:
                    yield on_lost(task, error)


def import_ray() -> Any:
    """The package ``ray``, quieted; ``RequestError`` if it is not installed."""
    require_extra("ray", ["ray"], "--engine ray")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


def _call(function: Callable[..., Any], references: list[Any], task: Any, folder: str) -> Any:
    if os.path.isdir(folder):
        os.chdir(folder)  # the base of relative paths
    return function(_state(references[0]), task)


@lru_cache(maxsize=1)
def _state(reference: Any) -> Any:
    return import_ray().get(reference)()
