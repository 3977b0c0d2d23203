"""Engines: compute tasks in this process, in local worker processes, or on a Ray cluster."""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from crossprompt.bench.loaders import load_backbone
from crossprompt.bench.task import Outcome, Task, attempt
from crossprompt.clip.model import CLIP
from crossprompt.utils.progress import NOTE, Reporter, Silent
from crossprompt.utils.ray import RETRIES, Cluster
from crossprompt.utils.text import one_line

SILENT = Silent()


class Engine(ABC):
    """A place to compute tasks."""

    @abstractmethod
    def run(self, tasks: Sequence[Task], reporter: Reporter = SILENT) -> Iterator[Outcome]:
        """The outcome of every task as soon as it is known; ``JobError`` if none can be computed
        any more. The reporter receives notes, and the training steps in this process."""


@dataclass(frozen=True)
class Local(Engine):
    """Engine that computes on this machine."""

    workers: int = 1
    """Processes; with one, it is this process."""
    retries: int = RETRIES
    """Restarts of a task whose process is killed."""

    def run(self, tasks: Sequence[Task], reporter: Reporter = SILENT) -> Iterator[Outcome]:
        """One task after the other, or one per worker.

        Every process is a pool of its own, so that a killed one loses its own task alone.
        """
        if self.workers == 1:
            yield from (attempt(task, backbone_of, reporter.step) for task in tasks)
            return
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
                        cell = task.training
                        killed[cell.key] += 1
                        if killed[cell.key] <= self.retries:
                            reporter.say(f"{NOTE}a worker was killed; restarting: {cell.title}")
                            waiting.append(task)  # last, when there may be more memory
                            continue
                        reason = (
                            f"its worker process was killed ({killed[cell.key]} x), perhaps for "
                            "lack of memory; run the same command again, with fewer --workers"
                        )
                        outcome = Outcome(task, error=reason)
                    yield outcome
        finally:
            for pool in [*idle, *(pool for _, pool in running.values())]:
                pool.shutdown(kill_workers=True)


def start_process() -> ProcessPoolExecutor:
    """A pool of one process, which starts with its first task."""
    return ProcessPoolExecutor(max_workers=1)


def backbone_of(task: Task) -> CLIP:
    """A task's backbone, loaded once in every process."""
    return load_backbone(task.training.backbone, task.device, task.training.dtype)


@dataclass(frozen=True)
class Ray(Engine):
    """A Ray cluster, which says how many tasks run at a time and what each requests."""

    cluster: Cluster

    def run(self, tasks: Sequence[Task], reporter: Reporter = SILENT) -> Iterator[Outcome]:
        """Every backbone is loaded here, and sent to each machine once."""
        with self.cluster.connected(reporter.say) as ray:

            @cache
            def put(name: str, dtype: str, device: str) -> Any:
                return ray.put(partial(load_backbone(name, "cpu", dtype).to, device))

            calls = [(put(x.training.backbone, x.training.dtype, x.device), x) for x in tasks]
            yield from self.cluster.map(_attempt, calls, _lost, ordered=False)


def _attempt(backbone: CLIP, task: Task) -> Outcome:
    return attempt(task, lambda _: backbone)


def _lost(task: Task, error: Exception) -> Outcome:
    reason = f"{type(error).__name__}: {one_line(error):.200}"
    return Outcome(task, error=f"lost on the cluster ({reason})", details=str(error))
