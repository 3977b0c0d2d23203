"""Tasks on a Ray cluster: the same results as ``Local``, from workers that may be lost."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from crossprompt.bench.engines import RETRIES, Engine, Say, unheard
from crossprompt.bench.sources import load_backbone
from crossprompt.bench.task import OnStep, Outcome, Task, attempt
from crossprompt.clip.model import CLIP
from crossprompt.progress import NOTE
from crossprompt.ray_cluster import connected, import_ray
from crossprompt.ray_room import GIGABYTE, check_room, grows
from crossprompt.wording import one_line


@dataclass(frozen=True)
class Ray(Engine):
    """A Ray cluster.

    Args:
        address: of a running cluster, ``auto`` for the one on this machine; None starts one for as
            long as the grid runs.
        workers: tasks at a time, where a cluster is started.
        cpus: that a task asks for.
        gpus: that a task asks for, also a part of one.
        memory: gigabytes that a task asks for.
        retries: how often a task is given to another worker when its own is lost.
    """

    address: str | None = None
    workers: int = 1
    cpus: int = 1
    gpus: float = 0.0
    memory: float | None = None
    retries: int = RETRIES

    def run(
        self, tasks: Sequence[Task], say: Say = unheard, on_step: OnStep = None
    ) -> Iterator[Outcome]:
        """Every task at once, as far as the cluster has room; the first to finish comes first."""
        with connected(self.address, self.workers * self.cpus) as ray:
            self._check_room(ray, say)
            backbones = {}
            for task in tasks:  # each is sent to a machine once, whatever the number of tasks
                name = name_of(task)
                if name not in backbones:
                    cell = task.training
                    backbone = load_backbone(cell.backbone, "cpu", cell.dtype)
                    backbones[name] = ray.put(backbone)
            remote = ray.remote(compute_remotely).options(**self._requests())
            # in a list, so that Ray hands on the reference and not the backbone
            here = os.getcwd()
            waiting = {
                remote.remote(task, [backbones[name_of(task)]], here): task for task in tasks
            }
            while waiting:
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                task = waiting.pop(ready)
                try:
                    yield ray.get(ready)
                except ray.exceptions.RayError as error:
                    text = one_line(error)
                    lost = f"lost on the cluster ({type(error).__name__}: {text:.200})"
                    yield Outcome(task, error=lost, details=str(error))

    def _requests(self) -> dict[str, Any]:
        memory = {} if self.memory is None else {"memory": int(self.memory * GIGABYTE)}
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "max_retries": self.retries,
            "name": "crossprompt",
            **memory,
        }

    def _check_room(self, ray: Any, say: Say) -> None:
        """A task that asks for more than any node has would wait for ever."""
        memory = (self.memory or 0.0) * GIGABYTE
        asked = {"CPU": float(self.cpus), "GPU": self.gpus, "memory": memory}
        mine = self.address is None
        advice = "ask for less (--threads, --gpus, --memory), or "
        advice += "name a cluster with --ray-address" if mine else "add a node that has it"
        may_grow = not mine and grows(ray)
        warning = check_room("training", asked, ray.nodes(), grows=may_grow, advice=advice)
        if warning is not None:
            say(f"{NOTE}{warning}")


def compute_remotely(task: Task, backbone: list[Any], folder: str) -> Outcome:
    """What a worker does.

    Args:
        task: what to compute.
        backbone: a list of one reference.
        folder: that paths are relative to.
    """
    if os.path.isdir(folder):
        os.chdir(folder)
    return attempt(task, lambda task: _unpack(task, backbone[0]))


_unpacked: dict[tuple[str, str, str], CLIP] = {}
"""The backbone that this worker has used last."""


def _unpack(task: Task, reference: Any) -> CLIP:
    name = name_of(task)
    if name not in _unpacked:
        _unpacked.clear()
        _unpacked[name] = import_ray().get(reference).to(task.device)
    return _unpacked[name]


def name_of(task: Task) -> tuple[str, str, str]:
    """The backbone of a task, where it computes."""
    return task.training.backbone, task.training.dtype, task.device
