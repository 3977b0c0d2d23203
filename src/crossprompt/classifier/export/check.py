"""Whether an exported classifier says what the classifier says, and how fast."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import torch
from torch import Tensor

from crossprompt.errors import JobError
from crossprompt.utils.shapes import Images, Probabilities

Score = Callable[[Images], Probabilities]
"""Preprocessed images to the probabilities of all classes."""
LIMITS = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}
"""Largest difference of a probability, by how the weights are stored."""
SIZES = (1, 7, 3)
"""Batches of noise that are compared."""
SPEED_BATCH = 8
"""Images at a time when speed is measured."""


@dataclass(frozen=True)
class Agreement:
    """What two classifiers say of the same images."""

    images: int
    """How many."""
    difference: float
    """Largest absolute difference of a probability, over all images and classes."""
    same: float
    """Share of the images that both put into the same class."""


def compare(one: Score, other: Score, batches: Iterable[Tensor]) -> Agreement:
    """Score the same images twice.

    Args:
        one: a classifier.
        other: what it is compared with.
        batches: of preprocessed images, at least one.
    """
    images, difference, same = 0, 0.0, 0
    for batch in batches:
        expected, found = one(batch), other(batch)
        # the maximum of tensors, as that of Python's numbers would overlook nan
        difference = float(torch.maximum((found - expected).abs().max(), torch.tensor(difference)))
        same += int((found.argmax(-1) == expected.argmax(-1)).sum())
        images += batch.shape[0]
    return Agreement(images, difference, same / images)


def noise(side: int) -> list[Tensor]:
    """Batches of different sizes of random images of ``side`` pixels, always the same ones."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(sum(SIZES), 3, side, side, generator=generator)
    ends = [sum(SIZES[:count]) for count in range(len(SIZES) + 1)]
    return [images[start:end] for start, end in pairwise(ends)]


def require_agreement(found: Agreement, weights: str, of: str) -> None:
    """``JobError`` if an exported classifier differs by more than the way its weights are stored
    explains.

    Args:
        found: what was compared.
        weights: how they are stored.
        of: the images, in words.
    """
    limit = LIMITS[weights]
    if not found.difference <= limit:  # nan is no agreement either
        raise JobError(
            f"the exported classifier does not agree with its original: on {found.images} {of} a "
            f"probability differs by {found.difference:.2g}, expected at most {limit:g} with "
            f"{weights} weights; nothing was written"
        )


def measure_speed(score: Score, side: int, seconds: float = 1.0) -> float:
    """Images per second in batches of 8: the median of the calls in so many seconds, at least 3.

    Args:
        score: a classifier.
        side: of its images, in pixels.
        seconds: to measure for.
    """
    images = torch.randn(SPEED_BATCH, 3, side, side, generator=torch.Generator().manual_seed(0))
    score(images)  # the first call prepares what the others find
    begin, times = perf_counter(), list[float]()
    while len(times) < 3 or perf_counter() - begin < seconds:
        start = perf_counter()
        score(images)
        times.append(perf_counter() - start)
    return SPEED_BATCH / sorted(times)[len(times) // 2]
