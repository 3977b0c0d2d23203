"""Which images of which class are train, val and test, before they become a data set."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from crossprompt.data.class_names import readable
from crossprompt.data.sampling import Share, positions_by_label, split_class
from crossprompt.data.split import Item, Split
from crossprompt.errors import RequestError

VAL, TEST = 0.2, 0.3
"""Shares of each class that CoOp drew where a data set has no splits of its own."""
SEED = 1
"""Of the draws made here, so that everyone without the published split has the same one."""


class Row(NamedTuple):
    """An image in a list."""

    path: str
    """Relative to the image folder."""
    label: int
    """Its class, from 0."""
    class_name: str
    """What the class is called."""


@dataclass(frozen=True)
class Division:
    """Class names and splits, as files or folders say."""

    class_names: tuple[str, ...]
    """The name of each label."""
    train: Split = field(default_factory=Split)
    """Images to learn from."""
    val: Split = field(default_factory=Split)
    """Images to choose settings with."""
    test: Split = field(default_factory=Split)
    """Images to report on."""
    shifted: Mapping[str, Split] = field(default_factory=dict)
    """Test images of other domains."""
    notes: tuple[str, ...] = ()
    """Sentences for the user."""
    class_folders: tuple[str, ...] = ()
    """What each class's folder is called, where that identifies it better than its name."""
    published: bool = True
    """Whether these are the splits that published numbers are of."""
    obstacle: str = ""
    """Why no few-shot set can be drawn, where what is published does not allow it."""
    listed: bool = False
    """Whether the images were found by looking into folders, so that none can be missing."""

    @property
    def splits(self) -> dict[str, Split]:
        """All splits by name, the shifted ones last."""
        return {"train": self.train, "val": self.val, "test": self.test, **self.shifted}


def division_of(rows: Mapping[str, Iterable[Row]], images: Path, source: Path) -> Division:
    """Make the division that lists of rows say.

    Args:
        rows: of each split, ``train``, ``val`` or ``test``; all others become shifted ones.
        images: the folder that paths begin in.
        source: what the rows were read from, for errors.

    Raises:
        RequestError: a label has two names, or none.
    """
    names: dict[int, str] = {}
    splits: dict[str, Split] = {}
    for split, listed in rows.items():
        items = []
        for row in listed:
            if names.setdefault(row.label, row.class_name) != row.class_name:
                raise RequestError(
                    f"{source} calls the label {row.label} both {names[row.label]!r} and "
                    f"{row.class_name!r}; get the published file"
                )
            items.append(Item(images / row.path, row.label))
        splits[split] = Split(tuple(items))
    if not names:
        raise RequestError(
            f"{source} names no images, so no classes; expected an image of each class at least"
        )
    if lacking := sorted(set(range(max(names) + 1)) - names.keys()):
        raise RequestError(
            f"{source} has no image of the label {lacking[0]}, though there is a label {max(names)}"
        )
    class_names = tuple(readable(names[label]) for label in range(len(names)))
    train, val, test = (splits.pop(name, Split()) for name in ("train", "val", "test"))
    return Division(class_names, train, val, test, shifted=splits)


def draw_splits(
    rows: Sequence[Row], val: Share = VAL, test: Share = TEST
) -> dict[str, Sequence[Row]]:
    """Share out the images of each class by a seeded draw; classes stay in order of appearance.

    Args:
        rows: of all classes.
        val: share of each class for ``val``.
        test: share for ``test``.
    """
    splits: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for positions in positions_by_label([row.label for row in rows]).values():
        name = rows[positions[0]].class_name
        drawn = split_class(len(positions), name, SEED, val, test)
        for position, split in zip(positions, drawn, strict=True):
            splits[split].append(rows[position])
    return dict(splits)


def missing_images(division: Division) -> list[Path]:
    """The images that a division names and that are not there; each folder is looked into once."""
    there: dict[str, frozenset[str]] = {}
    missing = []
    for path in [] if division.listed else (p for s in division.splits.values() for p in s.paths):
        folder, name = os.path.split(path)
        if folder not in there:
            there[folder] = frozenset(os.listdir(folder) if os.path.isdir(folder) else ())
        if name not in there[folder]:
            missing.append(path)
    return missing
