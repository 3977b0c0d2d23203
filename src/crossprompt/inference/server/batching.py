"""Dynamic batching: images are decoded in several threads and scored together in one."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import NamedTuple

import numpy
from PIL import Image

from crossprompt.data.images import UndecodableImageError, decode_image
from crossprompt.errors import JobError
from crossprompt.inference.base import Array, ImageClassifier
from crossprompt.inference.server.limits import FORMATS, BusyError, Limits
from crossprompt.inference.server.metrics import Metrics
from crossprompt.inference.server.schemas import BadImage, RefusalError

log = logging.getLogger("crossprompt.inference.server")
DECODERS = min(4, os.cpu_count() or 1)
"""Decoding threads: each may hold an image of the most pixels."""
SLIMMEST = 100
"""Largest ratio of the sides: a line of pixels would become a huge image when its shorter side is
enlarged to the transform's."""


class PendingImage(NamedTuple):
    """An image ``[3, side, side]`` that waits to be scored."""

    image: Array
    probabilities: "Future[Array]"
    arrived: float


class Batcher:
    """Gathers images and scores them together.

    Args:
        score: ``[batch, 3, side, side]`` to ``[batch, classes]``; called from one thread.
        most: largest batch.
        wait: seconds that an image waits for others, counted from its arrival.
        metrics: record the batches.
    """

    def __init__(
        self, score: Callable[[Array], Array], most: int, wait: float, metrics: Metrics
    ) -> None:
        self._score, self._most, self._wait, self._metrics = score, most, wait, metrics
        self._tasks: SimpleQueue[PendingImage | None] = SimpleQueue()  # None: no more will come
        self._lock, self._closed = Lock(), False
        # a daemon, so that a second Ctrl-C need not wait for a forward pass
        self._thread = Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """True if submitted images will be scored."""
        return self._thread.is_alive() and not self._closed

    def submit(self, image: Array) -> "Future[Array]":
        """Score an image ``[3, side, side]``: in time, ``[classes]``; ``BusyError`` once closed."""
        task = PendingImage(image, Future(), time.monotonic())
        with self._lock:  # nothing may come after the end
            if self._closed:
                raise BusyError("the server is stopping; try again later")
            self._tasks.put(task)
        return task.probabilities

    def close(self) -> None:
        """Score all that was submitted, then stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._tasks.put(None)
        self._thread.join()

    def _work(self) -> None:
        while tasks := self._gather():
            tasks = [task for task in tasks if task.probabilities.set_running_or_notify_cancel()]
            if tasks:
                self._score_batch(tasks)

    def _gather(self) -> list[PendingImage]:
        """The next batch; empty if no more will come."""
        tasks: list[PendingImage] = []
        while len(tasks) < self._most:
            left = tasks[0].arrived + self._wait - time.monotonic() if tasks else None
            try:
                task = self._tasks.get(timeout=left if left is None else max(0.0, left))
            except Empty:
                break
            if task is None:
                self._tasks.put(None)  # ends the next call too
                break
            tasks.append(task)
        return tasks

    def _score_batch(self, tasks: Sequence[PendingImage]) -> None:
        begin = time.perf_counter()
        try:
            rows = self._score(numpy.stack([task.image for task in tasks]))
            if not numpy.isfinite(rows).all():
                raise JobError("the classifier's probabilities are not finite; try --dtype fp32")
        except Exception:
            log.exception("a forward pass of %d images failed", len(tasks))
            self._metrics.failures.inc()
            for task in tasks:
                error = RefusalError(500, "the classifier failed; the log says why")
                task.probabilities.set_exception(error)
            return
        self._metrics.forward_seconds.observe(time.perf_counter() - begin)
        self._metrics.batch_images.observe(len(tasks))
        for task, row in zip(tasks, rows, strict=True):
            task.probabilities.set_result(row)


class Predictor:
    """Classifies image files for the event loop, without blocking it."""

    def __init__(self, classifier: ImageClassifier, limits: Limits, metrics: Metrics) -> None:
        self._classifier, self._limits, self._metrics = classifier, limits, metrics
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self.batcher = Batcher(
            classifier.probabilities, limits.max_batch, limits.max_wait_ms / 1000, metrics
        )

    async def warm_up(self) -> None:
        """Score a gray image, so that the first request need not wait for lazy set-up."""
        image = self._classifier.prepare(Image.new("RGB", (64, 64), "gray"))
        await asyncio.wrap_future(self.batcher.submit(image))

    async def predict(self, images: Sequence[bytes]) -> list[Array]:
        """Probabilities ``[classes]`` of every image file, in order.

        Raises:
            RefusalError: images cannot be decoded; all of them are named.
        """
        loop = asyncio.get_running_loop()
        decoding = [loop.run_in_executor(self._decoders, self._decode, image) for image in images]
        decoded = await asyncio.gather(*decoding)
        good = [found for found in decoded if not isinstance(found, str)]
        reasons = ((i, found) for i, found in enumerate(decoded) if isinstance(found, str))
        if bad := [BadImage(position=i, reason=reason) for i, reason in reasons]:
            self._metrics.bad_images.inc(len(bad))
            first = f"image {bad[0].position} (counted from 0): {bad[0].reason}"
            others = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise RefusalError(422, f"cannot read {first}{others}", bad)
        futures = [asyncio.wrap_future(self.batcher.submit(image)) for image in good]
        rows = await asyncio.gather(*futures)
        self._metrics.images.inc(len(rows))
        return rows

    def close(self) -> None:
        """Finish the images in progress, then stop the threads."""
        self._decoders.shutdown()
        self.batcher.close()

    def _decode(self, content: bytes) -> Array | str:
        """The preprocessed image, or the reason why it cannot be read."""
        begin = time.perf_counter()
        most_pixels = self._limits.max_pixels
        try:
            image = decode_image(
                BytesIO(content), self._classifier.enough, formats=FORMATS, most_pixels=most_pixels
            )
        except UndecodableImageError as error:
            return str(error).partition(":")[0]  # the rest is Pillow's own message
        if max(image.size) > SLIMMEST * min(image.size):
            return f"too slim, {image.width:,} x {image.height:,}; crop it"
        prepared = self._classifier.prepare(image)
        self._metrics.decode_seconds.observe(time.perf_counter() - begin)
        return prepared
