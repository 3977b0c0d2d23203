"""From the bytes of images to probabilities: decoded in threads, scored in one."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import numpy
from PIL import Image

from crossprompt.data.images import UndecodableImageError, decode_image
from crossprompt.errors import JobError
from crossprompt.inference.base import Array, ImageClassifier
from crossprompt.inference.server.errors import BusyError, RefusalError
from crossprompt.inference.server.limits import FORMATS, Limits
from crossprompt.inference.server.metrics import Metrics
from crossprompt.inference.server.schemas import BadImage

log = logging.getLogger("crossprompt.inference.server")


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


DECODERS = max(1, min(4, os.cpu_count() or 1))
"""Threads that decode: each may hold an image of the most pixels."""

SLIMMEST = 100
"""Times the shorter side that the longer may be: a line of pixels would become a huge image when
its shorter side is enlarged to the transform's."""


class Predictor:
    """Classifies images for the event loop, which it never blocks.

    Args:
        served: what classifies.
        limits: of batches and images.
        metrics: what is counted.
    """

    def __init__(self, served: ImageClassifier, limits: Limits, metrics: Metrics) -> None:
        self._served, self._limits, self._metrics = served, limits, metrics
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._batcher = Batcher(
            served.probabilities, limits.max_batch, limits.max_wait_ms / 1000, metrics
        )

    @property
    def ready(self) -> bool:
        """Whether images can be classified."""
        return self._batcher.alive

    async def warm_up(self) -> None:
        """Classify a gray image, so that the first request need not wait for what is done once."""
        stream = BytesIO()
        Image.new("RGB", (64, 64), "gray").save(stream, "PNG")
        await self._classify([stream.getvalue()])

    async def predict(self, images: Sequence[bytes]) -> list[Array]:
        """Probabilities ``[classes]`` of every image, in order.

        Raises:
            RefusalError: images cannot be decoded; all of them are named.
        """
        rows = await self._classify(images)
        self._metrics.images.inc(len(rows))
        return rows

    async def _classify(self, images: Sequence[bytes]) -> list[Array]:
        loop = asyncio.get_running_loop()
        decoding = [loop.run_in_executor(self._decoders, self._read, image) for image in images]
        read = await asyncio.gather(*decoding)
        if bad := [
            BadImage(position=position, reason=found)
            for position, found in enumerate(read)
            if isinstance(found, str)
        ]:
            self._metrics.bad_images.inc(len(bad))
            which = f"image {bad[0].position} (counted from 0)"
            others = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise RefusalError(422, f"cannot read {which}: {bad[0].reason}{others}", bad)
        prepared = [found for found in read if not isinstance(found, str)]
        answers = [asyncio.wrap_future(self._batcher.submit(image)) for image in prepared]
        return await asyncio.gather(*answers)

    def close(self) -> None:
        """Finish what was begun, then stop the threads."""
        self._decoders.shutdown()
        self._batcher.close()

    def _read(self, content: bytes) -> Array | str:
        """The image, ready to be scored, or what is wrong with it."""
        begin = time.perf_counter()
        try:
            image = decode_image(
                BytesIO(content),
                self._served.enough,
                formats=FORMATS,
                most_pixels=self._limits.max_pixels,
            )
        except UndecodableImageError as error:
            return str(error).partition(":")[0]  # what follows are Pillow's words, not ours
        if max(image.size) > SLIMMEST * min(image.size):
            return f"too slim, {image.width:,} x {image.height:,}; crop it"
        prepared = self._served.prepare(image)
        self._metrics.decode_seconds.observe(time.perf_counter() - begin)
        return prepared


def best(row: Array, count: int) -> list[int]:
    """Indices of the most probable classes of ``[classes]`` probabilities, best first."""
    return [int(index) for index in numpy.argsort(-row, kind="stable")[:count]]
