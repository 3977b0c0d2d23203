"""Tasks on a Ray cluster: the same results as ``Local``, from workers that may be lost."""

import os
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, TypeAlias

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from crossprompt.bench.loaders import load_backbone
from crossprompt.bench.task import OnStep, Outcome, Task, attempt
from crossprompt.clip.model import CLIP
from crossprompt.utils.progress import NOTE
from crossprompt.utils.ray import GIGABYTE, check_room, connected, grows, import_ray
from crossprompt.utils.text import one_line

RETRIES = 3
"""How often a task starts again when the process that computes it is lost."""
Say: TypeAlias = Callable[[str], object]
"""Takes a sentence for the user."""


def unheard(text: str) -> None:
    """Say it to nobody."""


class Engine(ABC):
    """Where tasks are computed."""

    @abstractmethod
    def run(
        self, tasks: Sequence[Task], say: Say = unheard, on_step: OnStep = None
    ) -> Iterator[Outcome]:
        """What came of every task, as soon as it is known.

        Args:
            tasks: what to compute.
            say: told what the user should know meanwhile.
            on_step: called after every step of a training in this process; none is reported by
                others.

        Raises:
            JobError: no task can be computed any more.
        """


class Local(Engine):
    """This machine.

    Args:
        workers: processes; with one, it is this process.
        retries: how often a task is given to a fresh process when its own is killed.
    """

    def __init__(self, workers: int = 1, retries: int = RETRIES) -> None:
        self.workers, self.retries = workers, retries

    def run(
        self, tasks: Sequence[Task], say: Say = unheard, on_step: OnStep = None
    ) -> Iterator[Outcome]:
        """One task after the other, or one a worker."""
        if self.workers == 1:
            return (attempt(task, backbone_of, on_step) for task in tasks)
        return _Workers(self.retries, say).run(tasks, min(self.workers, len(tasks)))


class _Workers:
    """Processes that compute a task each; every one is a pool of its own, so that it is known whose
    task is lost when a process is killed, and the others go on.

    Args:
        retries: see ``Local``.
        say: told of a task that starts again.
    """

    def __init__(self, retries: int, say: Say) -> None:
        self._retries, self._say = retries, say
        self._lost = Counter[int]()  # how often, by position
        self._running: dict[Future[Outcome], tuple[int, ProcessPoolExecutor]] = {}

    def run(self, tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
        waiting = deque(range(len(tasks)))
        try:
            for _ in range(workers):
                self._start(tasks, waiting.popleft(), _pool())
            while self._running:
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    position, pool = self._running.pop(future)
                    try:
                        outcome: Outcome | None = future.result()
                    except BrokenProcessPool:
                        pool.shutdown(kill_workers=True)
                        pool, outcome = _pool(), self._give_up(tasks[position], position)
                        if outcome is None:  # after the others, when there may be more memory
                            waiting.append(position)
                    if waiting:
                        self._start(tasks, waiting.popleft(), pool)
                    else:
                        pool.shutdown()
                    if outcome is not None:
                        yield outcome
        finally:
            for _, pool in self._running.values():
                pool.shutdown(kill_workers=True)

    def _start(self, tasks: Sequence[Task], position: int, pool: ProcessPoolExecutor) -> None:
        self._running[pool.submit(attempt, tasks[position], backbone_of)] = position, pool

    def _give_up(self, task: Task, position: int) -> Outcome | None:
        """What is said of a task whose process was killed; None if it starts again."""
        self._lost[position] += 1
        count = self._lost[position]
        if count <= self._retries:
            self._say(f"{NOTE}a worker was killed; this starts again later: {task.training.title}")
            return None
        times = "" if count == 1 else f" {count} times"
        return Outcome(
            task,
            error=f"its worker process was killed{times}, perhaps for want of memory; run the same "
            "command again, with fewer --workers",
        )


def _pool() -> ProcessPoolExecutor:
    """One process, which starts when it has something to do."""
    return ProcessPoolExecutor(max_workers=1)


def backbone_of(task: Task) -> CLIP:
    """A task's backbone, loaded once in every process."""
    cell = task.training
    return load_backbone(cell.backbone, task.device, cell.dtype)


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
