"""Engines: compute tasks in this process, in local worker processes, or on a Ray cluster."""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from crossprompt.bench.loaders import load_backbone
from crossprompt.bench.task import OnStep, Outcome, Task, attempt
from crossprompt.clip.model import CLIP
from crossprompt.utils.progress import NOTE
from crossprompt.utils.ray import RETRIES, Cluster
from crossprompt.utils.text import one_line

Say: TypeAlias = Callable[[str], object]
"""Takes a sentence for the user."""


def silent(text: str) -> None:
    """Drop a sentence."""


class Engine(ABC):
    """Where tasks are computed."""

    @abstractmethod
    def run(
        self, tasks: Sequence[Task], say: Say = silent, on_step: OnStep = None
    ) -> Iterator[Outcome]:
        """The outcome of every task, as soon as it is known.

        Args:
            tasks: independent of one another.
            say: receives notes for the user.
            on_step: called after every training step in this process; steps in other processes are
                not reported.

        Raises:
            JobError: no task can be computed any more.
        """


@dataclass(frozen=True)
class Local(Engine):
    """This machine.

    Args:
        workers: processes; with one, it is this process.
        retries: times a task starts again when its process is killed.
    """

    workers: int = 1
    retries: int = RETRIES

    def run(
        self, tasks: Sequence[Task], say: Say = silent, on_step: OnStep = None
    ) -> Iterator[Outcome]:
        """One task after the other, or one a worker."""
        if self.workers == 1:
            return (attempt(task, backbone_of, on_step) for task in tasks)
        return self._in_processes(tasks, say)

    def _in_processes(self, tasks: Sequence[Task], say: Say) -> Iterator[Outcome]:
        """Every process is a pool of its own, so that a killed one loses its own task alone."""
        waiting, killed = deque(tasks), Counter[str]()
        idle: list[ProcessPoolExecutor] = []
        running: dict[Future[Outcome], tuple[Task, ProcessPoolExecutor]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    task, pool = waiting.popleft(), idle.pop() if idle else start_process()
                    running[pool.submit(attempt, task, backbone_of)] = task, pool
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, pool = running.pop(future)
                    try:
                        outcome = future.result()
                        idle.append(pool)
                    except BrokenProcessPool:
                        pool.shutdown(kill_workers=True)
                        name = task.training.key
                        killed[name] += 1
                        if killed[name] <= self.retries:
                            say(f"{NOTE}a worker was killed; restarting: {task.training.title}")
                            waiting.append(task)  # last, when there may be more memory
                            continue
                        outcome = _killed(task, killed[name])
                    yield outcome
        finally:
            for pool in [*idle, *(pool for _, pool in running.values())]:
                pool.shutdown(kill_workers=True)


def start_process() -> ProcessPoolExecutor:
    """A pool of one process, which starts with its first task."""
    return ProcessPoolExecutor(max_workers=1)


def _killed(task: Task, times: int) -> Outcome:
    often = "" if times == 1 else f" {times} times"
    return Outcome(
        task,
        error=f"its worker process was killed{often}, perhaps for want of memory; run the same "
        "command again, with fewer --workers",
    )


def backbone_of(task: Task) -> CLIP:
    """A task's backbone, loaded once in every process."""
    return load_backbone(task.training.backbone, task.device, task.training.dtype)


@dataclass(frozen=True)
class Ray(Engine):
    """A Ray cluster.

    Args:
        cluster: where to compute, and the resources of a task.
    """

    cluster: Cluster

    def run(
        self, tasks: Sequence[Task], say: Say = silent, on_step: OnStep = None
    ) -> Iterator[Outcome]:
        """Every backbone is loaded here, and sent to each machine once."""
        with self.cluster.connected(say) as ray:
            references: dict[tuple[str, str, str], Any] = {}
            for task in tasks:
                if (name := _name(task)) not in references:
                    backbone = load_backbone(task.training.backbone, "cpu", task.training.dtype)
                    references[name] = ray.put(partial(backbone.to, task.device))
            calls = ((references[_name(task)], task) for task in tasks)
            yield from self.cluster.map(_attempt, calls, _lost, ordered=False)


def _name(task: Task) -> tuple[str, str, str]:
    return task.training.backbone, task.training.dtype, task.device


def _attempt(backbone: CLIP, task: Task) -> Outcome:
    return attempt(task, lambda _: backbone)


def _lost(task: Task, error: Exception) -> Outcome:
    reason = f"{type(error).__name__}: {one_line(error):.200}"
    return Outcome(task, error=f"lost on the cluster ({reason})", details=str(error))
