"""Seeded draws: few-shot sets equal to those of CoOp's published numbers, and splits of a class.

Positions in lists are drawn from a local generator; the global random state is never touched.
"""

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from msgspec import Meta

from crossprompt.errors import RequestError
from crossprompt.utils.files import read_json
from crossprompt.utils.text import listed

Position = Annotated[int, Meta(ge=0)]
Label = TypeVar("Label", int, str)
SplitSize = float | int
"""A part of a class's images, 0 to 1."""

VAL_SHOTS = 4
"""Most validation images of a class in a few-shot set."""


@dataclass(frozen=True)
class Selection:
    """Positions of a few-shot set's images in the lists it was drawn from, in the order drawn.

    Written as a JSON file.
    """

    fingerprint: str
    """Fingerprint of the data set that was drawn from."""
    shots: int
    seed: int
    nested: bool
    """True if sets of fewer shots lie in those of more."""
    train: tuple[Position, ...]
    val: tuple[Position, ...]
    format: Literal["crossprompt-selection"] = "crossprompt-selection"
    version: Literal[1] = 1

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file."""
        Path(path).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Selection":
        """Read what ``save`` wrote.

        Raises:
            RequestError: the file is missing, damaged, or no selection of this version.
        """
        return read_json(Path(path), cls, "expected a selection of images, as fit writes it")


def sample_few_shot(
    train_labels: Sequence[int], val_labels: Sequence[int], shots: int, seed: int, nested: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw positions of ``shots`` training and ``min(shots, 4)`` validation images of each class.

    Like CoOp's data sets on Dassl (KaiyangZhou/Dassl.pytorch, dassl/data/datasets/base_dataset.py,
    ``generate_fewshot_dataset``): one random stream, first over the training then over the
    validation list, classes in order of first appearance, all images of a class that has fewer.

    With ``nested``, which CoOp has not, the set of fewer shots lies in that of more.
    """
    stream = random.Random(seed)

    def draw(labels: Sequence[int], count: int) -> tuple[int, ...]:
        drawn: list[int] = []
        for positions in positions_by_label(labels).values():
            if nested:  # moves the stream on alike for any number of shots
                drawn += stream.sample(positions, len(positions))[:count]
            elif len(positions) >= count:
                drawn += stream.sample(positions, count)
            else:
                drawn += positions
        return tuple(drawn)

    train = draw(train_labels, shots)
    return train, draw(val_labels, min(shots, VAL_SHOTS))


def note_shortages(class_names: Sequence[str], labels: Sequence[int], shots: int) -> list[str]:
    """Notes for the user about classes with fewer images than ``shots``.

    Raises:
        RequestError: a class has no images.
    """
    counts = Counter(labels)
    short = {x: counts[x] for x in range(len(class_names)) if counts[x] < shots}
    if lacking := [class_names[label] for label, count in short.items() if not count]:
        raise RequestError(f"no training images of {listed(lacking)}; add some or leave it out")
    if len(short) > 3:  # one note for all of them
        fewest = min(short, key=short.__getitem__)
        return [
            f"{len(short)} of {len(class_names)} classes have fewer than {shots} training images, "
            f"{class_names[fewest]!r} the fewest with {short[fewest]}: all of theirs are used"
        ]
    return [
        f"class {class_names[label]!r} has {count} training image{'s' * (count > 1)}, fewer than "
        f"{shots} shots: {f'all {count} are' if count > 1 else 'it is'} used"
        for label, count in short.items()
    ]


def positions_by_label(labels: Sequence[Label]) -> dict[Label, list[int]]:
    """The positions of each label, labels in order of first appearance."""
    found = defaultdict(list)
    for position, label in enumerate(labels):
        found[label].append(position)
    return found


def split_class(images: int, name: str, seed: int, val: SplitSize, test: SplitSize) -> list[str]:
    """Assign each of a class's ``images`` images to ``train``, ``val`` or ``test``.

    The draw depends on the class's name and number of images and the seed, not on the other
    classes. Shares are rounded down; a class of two or more gives at least one to ``test`` if that
    has a share, and every class keeps at least one in ``train`` unless ``val`` and ``test`` take
    all.
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
