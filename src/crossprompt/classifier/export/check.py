"""Agreement of an exported file with its classifier, and the speed of both."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from crossprompt.errors import JobError
from crossprompt.utils.shapes import Images, Probabilities

Score = Callable[[Images], Probabilities]
"""Maps preprocessed images to the probabilities of all classes."""
LIMITS = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}
"""Stored type of the weights to the largest allowed difference of a probability."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of two classifiers on the same images."""

    images: int
    difference: float
    """Largest absolute difference of a probability, over all images and classes."""
    same: float
    """Share of the images that both put into the same class."""


def compare(one: Score, other: Score, batches: Iterable[Tensor]) -> Agreement:
    """Score the same batches of preprocessed images, at least one, with two classifiers."""
    images, difference, same = 0, 0.0, 0
    for batch in batches:
        expected, found = one(batch), other(batch)
        # the maximum of tensors, as Python's would overlook nan
        difference = float(torch.maximum((found - expected).abs().max(), torch.tensor(difference)))
        same += int((found.argmax(-1) == expected.argmax(-1)).sum())
        images += batch.shape[0]
    return Agreement(images, difference, same / images)


def random_batches(side: int) -> list[Tensor]:
    """Batches of 1, 7 and 3 random images of ``side`` pixels, the same ones on every call."""
    generator = torch.Generator().manual_seed(1)
    return list(torch.randn(11, 3, side, side, generator=generator).split([1, 7, 3]))


def require_agreement(found: Agreement, weights: str, images: str) -> None:
    """Raise ``JobError`` if probabilities differ by more than the stored weights explain.

    Args:
        found: the comparison.
        weights: type in which they are stored.
        images: names the images in the error.
    """
    limit = LIMITS[weights]
    if not found.difference <= limit:  # nan is no agreement either
        raise JobError(
            f"the exported classifier does not agree with its original: on {found.images} {images} "
            f"a probability differs by {found.difference:.2g}, expected at most {limit:g} with "
            f"{weights} weights; nothing was written"
        )


def measure_speed(score: Score, side: int, seconds: float = 1.0) -> float:
    """Images per second in batches of 8: the median of at least 3 calls.

    Args:
        score: a classifier.
        side: of its images, in pixels.
        seconds: to measure for.
    """
    images = torch.randn(8, 3, side, side, generator=torch.Generator().manual_seed(0))
    score(images)  # warm up
    begin, times = perf_counter(), list[float]()
    while len(times) < 3 or perf_counter() - begin < seconds:
        start = perf_counter()
        score(images)
        times.append(perf_counter() - start)
    return images.shape[0] / sorted(times)[len(times) // 2]
