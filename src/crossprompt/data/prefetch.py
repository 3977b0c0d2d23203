"""Prefetch: map in threads, in order, with a bounded number of results in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Task = TypeVar("Task")
Value = TypeVar("Value")

WORKERS = max(1, min(8, os.cpu_count() or 1))
"""Threads that decode; Pillow releases the interpreter's lock while it does."""
AHEAD = 4
"""Tasks in flight per thread."""


def prefetch(function: Callable[[Task], Value], tasks: Iterable[Task]) -> Iterator[Value]:
    """``map`` in threads, in order, at most ``WORKERS * AHEAD`` results ahead of the consumer."""
    with ThreadPoolExecutor(WORKERS) as pool:
        source = iter(tasks)
        waiting: deque[Future[Value]] = deque(
            pool.submit(function, task) for task in islice(source, WORKERS * AHEAD)
        )
        try:
            while waiting:
                value = waiting.popleft().result()
                waiting.extend(pool.submit(function, task) for task in islice(source, 1))
                yield value
        finally:
            for future in waiting:
                future.cancel()
