"""Engines compute tasks and give what came of them, in any order; nothing else differs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from crossprompt.bench.sources import load_backbone
from crossprompt.bench.task import Outcome, Task, attempt
from crossprompt.clip.model import CLIP
from crossprompt.errors import JobError


class Engine(ABC):
    """Where tasks are computed."""

    @abstractmethod
    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """What came of every task, as soon as it is known.

        Raises:
            JobError: no task can be computed any more.
        """


class Local(Engine):
    """This machine.

    Args:
        workers: processes; with one, it is this process.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """One task after the other, or one a worker."""
        if self.workers == 1:
            for task in tasks:
                yield attempt(task, backbone_of)
            return
        parallel = joblib.Parallel(n_jobs=self.workers, return_as="generator_unordered")
        try:
            yield from parallel(joblib.delayed(attempt)(task, backbone_of) for task in tasks)
        except TerminatedWorkerError as error:
            raise JobError(
                "a worker process was killed, perhaps for want of memory; finished cells are "
                "kept: run the same command again, with fewer --workers"
            ) from error


def backbone_of(task: Task) -> CLIP:
    """A task's backbone, loaded once in every process."""
    cell = task.training
    return load_backbone(cell.backbone, task.device, cell.dtype)
