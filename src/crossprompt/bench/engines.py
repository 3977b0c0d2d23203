"""Engines compute tasks and give what came of them, in any order; nothing else differs."""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeAlias

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from crossprompt.bench.sources import load_backbone
from crossprompt.bench.task import OnStep, Outcome, Task, attempt
from crossprompt.clip.model import CLIP
from crossprompt.progress import NOTE

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
