"""Which images are drawn: few-shot sets equal to those of CoOp's numbers, and seeded splits.

All functions draw positions in lists from a local generator; nothing here knows images or touches
the global state.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

Label = TypeVar("Label", int, str)
Share = float | int
"""A part of a class's images, 0 to 1."""

VAL_SHOTS = 4
"""Most validation images of a class in a few-shot set."""


def sample_few_shot(
    train_labels: Sequence[int],
    val_labels: Sequence[int],
    shots: int,
    seed: int,
    nested: bool = False,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw positions of ``shots`` training and ``min(shots, 4)`` validation images of each class.

    Like CoOp's data sets on Dassl (KaiyangZhou/Dassl.pytorch, dassl/data/datasets/base_dataset.py,
    ``generate_fewshot_dataset``): one random stream, first over the training then over the
    validation list, classes in order of first appearance, all images of a class that has fewer.

    Args:
        train_labels: the label of every training image.
        val_labels: the label of every validation image.
        shots: images of a class.
        seed: of the random stream.
        nested: draw so that the set of fewer shots lies in that of more shots; not CoOp's sets.
    """
    stream = random.Random(seed)
    draw = _draw_nested if nested else _draw
    train = draw(stream, train_labels, shots)
    return train, draw(stream, val_labels, min(shots, VAL_SHOTS))


def positions_by_label(labels: Sequence[Label]) -> dict[Label, list[int]]:
    """The positions of each label, labels in order of first appearance."""
    found: dict[Label, list[int]] = {}
    for position, label in enumerate(labels):
        found.setdefault(label, []).append(position)
    return found


def _draw(stream: random.Random, labels: Sequence[int], shots: int) -> tuple[int, ...]:
    drawn: list[int] = []
    for positions in positions_by_label(labels).values():
        drawn += stream.sample(positions, shots) if len(positions) >= shots else positions
    return tuple(drawn)


def _draw_nested(stream: random.Random, labels: Sequence[int], shots: int) -> tuple[int, ...]:
    drawn: list[int] = []
    for positions in positions_by_label(labels).values():
        order = stream.sample(positions, len(positions))  # moves the stream on alike for any shots
        drawn += order[:shots]
    return tuple(drawn)


def split_class(images: int, name: str, seed: int, val: Share, test: Share) -> list[str]:
    """Say for each of a class's images whether it belongs to ``train``, ``val`` or ``test``.

    The draw depends on the class's name and number of images and the seed, not on the other
    classes. Shares are rounded down; a class of two or more gives at least one to ``test`` if that
    has a share, and every class keeps at least one in ``train`` unless ``val`` and ``test`` take
    all.

    Args:
        images: how many images the class has.
        name: of the class.
        seed: of the draw.
        val: share of ``val``.
        test: share of ``test``; what both leave is ``train``.
    """
    tests, vals = int(images * test + 1e-9), int(images * val + 1e-9)
    if val + test > 1 - 1e-9:
        vals = images - tests  # nothing is left to train, so rounding must not leave it an image
    else:
        tests = min(max(tests, 1 if test else 0), images - 1)
        vals = min(vals, images - 1 - tests)
    order = list(range(images))
    # a text seeds by its sha512, which is the same on every machine
    random.Random(f"{seed}:{name}").shuffle(order)
    splits = ["train"] * images
    for rank, position in enumerate(order[: tests + vals]):
        splits[position] = "test" if rank < tests else "val"
    return splits
