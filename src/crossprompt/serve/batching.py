"""Images that arrive within a few milliseconds share a forward pass, in the one thread that
computes."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import numpy

from crossprompt.errors import JobError
from crossprompt.serve.metrics import Metrics
from crossprompt.serve.refusals import BusyError, RefusalError
from crossprompt.serve.served import Array

log = logging.getLogger("crossprompt.serve")


@dataclass(frozen=True)
class Task:
    """An image that waits for its answer."""

    image: Array
    """``[3, side, side]``."""
    answer: "Future[Array]" = field(default_factory=Future)
    """``[classes]``, in time."""
    arrived: float = field(default_factory=time.monotonic)
    """When it began to wait."""


class Batcher:
    """Gathers images and scores them together.

    Args:
        score: ``[batch, 3, side, side]`` to ``[batch, classes]``; called from one thread.
        most: images in a batch.
        wait: seconds that an image waits for others, counted from its arrival.
        metrics: where batches are counted.
    """

    def __init__(
        self, score: Callable[[Array], Array], most: int, wait: float, metrics: Metrics
    ) -> None:
        self._score, self._most, self._wait, self._metrics = score, most, wait, metrics
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()  # None: no more will come
        self._lock, self._closed = Lock(), False
        # a daemon, so that a second Ctrl-C need not wait for a forward pass
        self._thread = Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether what is submitted will be answered."""
        return self._thread.is_alive() and not self._closed

    def submit(self, image: Array) -> "Future[Array]":
        """Score an image ``[3, side, side]``: in time, ``[classes]``.

        Raises:
            BusyError: it was closed.
        """
        task = Task(image)
        with self._lock:  # nothing may come after the end
            if self._closed:
                raise BusyError("the server is stopping; try again later")
            self._tasks.put(task)
        return task.answer

    def close(self) -> None:
        """Answer all that was submitted, then stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._tasks.put(None)
        self._thread.join()

    def _work(self) -> None:
        more = True
        while more:
            tasks, more = self._gather()
            wanted = [task for task in tasks if task.answer.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _gather(self) -> tuple[list[Task], bool]:
        """The next batch, and whether any may follow."""
        tasks: list[Task] = []
        until = None
        while len(tasks) < self._most:
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                task = self._tasks.get(timeout=left)
            except Empty:
                break
            if task is None:
                return tasks, False
            tasks.append(task)
            until = tasks[0].arrived + self._wait
        return tasks, True

    def _answer(self, tasks: Sequence[Task]) -> None:
        begin = time.perf_counter()
        try:
            rows = self._score(numpy.stack([task.image for task in tasks]))
            if not numpy.isfinite(rows).all():
                raise JobError("the classifier's probabilities are not finite; try --dtype fp32")
        except Exception:
            log.exception("a forward pass of %d images failed", len(tasks))
            self._metrics.failures.inc()
            for task in tasks:
                task.answer.set_exception(
                    RefusalError(500, "the classifier failed; the log says why")
                )
            return
        self._metrics.forward_seconds.observe(time.perf_counter() - begin)
        self._metrics.batch_images.observe(len(tasks))
        for task, row in zip(tasks, rows, strict=True):
            task.answer.set_result(row)
