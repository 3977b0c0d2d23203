"""From the bytes of images to probabilities: decoded in threads, scored in one."""

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy
from PIL import Image

from crossprompt.data.images import UndecodableImageError, decode_image
from crossprompt.serve.batching import Batcher
from crossprompt.serve.limits import FORMATS, Limits
from crossprompt.serve.metrics import Metrics
from crossprompt.serve.refusals import RefusalError
from crossprompt.serve.schemas import BadImage
from crossprompt.serve.served import Array, Served

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

    def __init__(self, served: Served, limits: Limits, metrics: Metrics) -> None:
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
        """Classify a grey image, so that the first request need not wait for what is done once."""
        stream = BytesIO()
        Image.new("RGB", (64, 64), "grey").save(stream, "PNG")
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
