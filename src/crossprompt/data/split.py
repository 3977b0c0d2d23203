"""A split of a data set: image files with labels, in a fixed order."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import overload

from crossprompt.errors import RequestError


@dataclass(frozen=True)
class Item:
    """An image file and its class."""

    path: Path
    label: int

    def __post_init__(self) -> None:
        if not isinstance(self.path, Path):
            object.__setattr__(self, "path", Path(self.path))


@dataclass(frozen=True, repr=False)
class Split(Sequence[Item]):
    """Items in a fixed order; a slice is a split again."""

    items: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.items, tuple):  # a list, or what gives items once
            object.__setattr__(self, "items", tuple(self.items))

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]], labels: Iterable[int]) -> "Split":
        """Pair paths with labels."""
        return cls(
            tuple(Item(Path(path), label) for path, label in zip(paths, labels, strict=True))
        )

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """The label of every item."""
        return tuple(item.label for item in self.items)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The path of every item."""
        return tuple(item.path for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> "Split": ...
    def __getitem__(self, index: int | slice) -> "Item | Split":
        return Split(self.items[index]) if isinstance(index, slice) else self.items[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"Split({len(self)} items of {len(set(self.labels))} classes)"

    def take(self, positions: Iterable[int]) -> "Split":
        """The items at ``positions``, in that order."""
        return Split(tuple(self.items[position] for position in positions))


def check_items(items: object, what: str) -> None:
    """``RequestError`` unless these are labelled images.

    Args:
        items: any number of ``Item``, in an order.
        what: they are for, in words.
    """
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise RequestError(
            f"found a {type(items).__name__} to {what}, expected labelled images, such as the "
            "train or the test split of a data set"
        )
    for item in items:
        if not isinstance(item, Item) or not isinstance(item.label, Integral):
            raise RequestError(
                f"found {item!r:.80} to {what}, expected an Item of a path and the number of a "
                "class; Split.of(paths, labels) makes many"
            )


def fingerprint_of(
    class_names: Sequence[str], splits: Mapping[str, Split], root: Path | None
) -> str:
    """sha256 of class names and, for every split, relative paths and labels, in order.

    Args:
        class_names: the name of each label.
        splits: what to take in, by name.
        root: the folder that paths are taken relative to; by default the one that all share.
    """
    digest = hashlib.sha256(json.dumps(class_names).encode())
    start = (root or _common_folder(splits.values())).as_posix().rstrip("/") + "/"
    for name, split in splits.items():
        digest.update(f"\n{name}\n".encode())
        for item in split:
            line = f"{item.label} {item.path.as_posix().removeprefix(start)}\n"
            digest.update(line.encode(errors="surrogateescape"))  # file names may be no UTF-8
    return digest.hexdigest()


def _common_folder(splits: Iterable[Split]) -> Path:
    folders = {path.parent for split in splits for path in split.paths}
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # no images, or on several drives
        return Path()
