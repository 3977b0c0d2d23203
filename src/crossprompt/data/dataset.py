"""A data set: class names and, for each split, image files with labels."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import overload

from crossprompt.data.few_shot import Selection, note_shortages, sample_few_shot
from crossprompt.data.images import ProgressCallback, check_images, list_bad
from crossprompt.errors import RequestError, UnsuitableError
from crossprompt.utils.text import listed


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
        pairs = zip(paths, labels, strict=True)
        return cls(tuple(Item(Path(path), label) for path, label in pairs))

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """The label of every item."""
        return tuple(item.label for item in self)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The path of every item."""
        return tuple(item.path for item in self)

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
    """``RequestError`` unless these are a sequence of ``Item``; ``what`` they are for is named."""
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise RequestError(f"found a {type(items).__name__} to {what}, expected a split's items")
    for item in items:
        if not isinstance(item, Item) or not isinstance(item.label, Integral):
            raise RequestError(
                f"found {item!r:.80} to {what}, expected an Item of a path and the number of a "
                "class; Split.of(paths, labels) makes many"
            )


def fingerprint_of(
    class_names: Sequence[str], splits: Mapping[str, Split], root: Path | None
) -> str:
    """sha256 of class names and, for every split, paths in ``root`` and labels, in order.

    Without a ``root``, paths are relative to the folder that all share.
    """
    if root is None:
        folders = {path.parent for split in splits.values() for path in split.paths}
        try:
            root = Path(os.path.commonpath(folders))
        except ValueError:  # no images, or on several drives
            root = Path()
    digest = hashlib.sha256(json.dumps(class_names).encode())
    start = root.as_posix().rstrip("/") + "/"
    for name, split in splits.items():
        digest.update(f"\n{name}\n".encode())
        for item in split:
            line = f"{item.label} {item.path.as_posix().removeprefix(start)}\n"
            digest.update(line.encode(errors="surrogateescape"))  # file names may be no UTF-8
    return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Images of the same classes in up to three splits and any number of shifted test sets.

    Raises:
        RequestError: a label has no class name.
    """

    name: str
    """Name in results."""
    class_names: tuple[str, ...]
    """The name of each label, as it stands in a prompt."""
    train: Split = field(default_factory=Split)
    """Training images."""
    val: Split = field(default_factory=Split)
    """Validation images, to choose settings with."""
    test: Split = field(default_factory=Split)
    """Test images, never used in training or to choose settings."""
    shifted: Mapping[str, Split] = field(default_factory=dict)
    """Other test images of the same classes, for example in other styles."""
    template: str = "a photo of a {}."
    """The text for a class name where no prompt is trained."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: oddities in the data, and how they were resolved."""
    root: Path | None = None
    """The folder that paths in the fingerprint are relative to; by default the common one."""
    selection: Selection | None = field(default=None, repr=False)
    """The images of the larger data set that this few-shot set was drawn from."""
    obstacle: str = field(default="", repr=False)
    """The reason why the published lists allow no few-shot set, if they do not."""

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            if not isinstance(items := getattr(self, name), Split):
                object.__setattr__(self, name, Split(tuple(items)))
        for name, split in self.splits.items():
            labels, classes = split.labels, len(self.class_names)
            if labels and not 0 <= min(labels) <= max(labels) < classes:
                raise RequestError(
                    f"{self.name}: the {name} split has labels from {min(labels)} to "
                    f"{max(labels)}; expected 0 to {classes - 1}, one for each class name"
                )

    @property
    def splits(self) -> dict[str, Split]:
        """All splits by name, the shifted ones after ``train``, ``val`` and ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test, **self.shifted}

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of class names and, for every split, relative paths and labels, in order."""
        return fingerprint_of(self.class_names, self.splits, self.root)

    def few_shot(self, shots: int, seed: int = 1, nested: bool = False) -> "Dataset":
        """Draw ``shots`` training images of each class, as CoOp does, and at most 4 for validation.

        A class with fewer images gives all of them, and a note says so.

        Args:
            shots: training images of each class.
            seed: of the draw.
            nested: make the set of fewer shots lie in that of more, which CoOp's sets do not.

        Raises:
            RequestError: fewer than one shot, a seed that is no whole number, or a class without
                training images.
            UnsuitableError: the published lists do not allow it.
        """
        if self.obstacle:
            raise UnsuitableError(self.obstacle)
        if not isinstance(shots, Integral) or shots < 1:
            raise RequestError(f"found {shots!r} shots, expected at least 1 image of each class")
        if not isinstance(seed, Integral):
            raise RequestError(f"found the seed {seed!r:.40}, expected a whole number")
        if not self.train:
            raise RequestError(f"{self.name} has no training images; add some")
        shots, seed = int(shots), int(seed)  # numpy's integers become Python's
        notes = note_shortages(self.class_names, self.train.labels, shots)
        train, val = sample_few_shot(self.train.labels, self.val.labels, shots, seed, nested)
        selection = Selection(self.fingerprint, shots, seed, nested, train, val)
        return replace(self._select(selection), notes=(*self.notes, *notes))

    def save_selection(self, path: str | os.PathLike[str]) -> None:
        """Write the positions of the images that ``few_shot`` drew, as JSON.

        Raises:
            RequestError: this is no few-shot set, or a subset of one.
        """
        if self.selection is None:
            raise RequestError(f"{self.name} is not as few_shot() returned it; save that one")
        self.selection.save(path)

    def load_selection(self, path: str | os.PathLike[str]) -> "Dataset":
        """Draw the few-shot set again that ``save_selection`` wrote down.

        Raises:
            RequestError: the file is no selection, or one of other images, labels or class names.
        """
        selection = Selection.load(path)
        if selection.fingerprint != self.fingerprint:
            raise RequestError(
                f"{path} selects from data with the fingerprint {selection.fingerprint[:12]}, but "
                f"{self.name} has {self.fingerprint[:12]}; load the data that was drawn from"
            )
        try:
            return self._select(selection)
        except IndexError:
            raise RequestError(f"{path} is damaged: positions beyond {self.name}'s end") from None

    def subset(self, which: str) -> "Dataset":
        """Half of the classes, labelled from 0, as base-to-new does after ``few_shot``.

        Args:
            which: ``base`` is the first half, rounded up, ``new`` the others, ``all`` everything.

        Raises:
            RequestError: no such subset, or no class in it.
        """
        if which == "all":
            return self
        half = ((classes := len(self.class_names)) + 1) // 2
        bounds = {"base": (0, half), "new": (half, classes)}
        if which not in bounds:
            raise RequestError(f"no class subset {which!r}; expected all, base or new")
        start, stop = bounds[which]
        if start == stop:
            raise RequestError(f"{self.name} has {classes} class, too few for {which} classes")

        def keep(split: Split) -> Split:
            inside = (item for item in split if start <= item.label < stop)
            return Split(tuple(Item(item.path, item.label - start) for item in inside))

        return replace(self._map(keep), class_names=self.class_names[start:stop], selection=None)

    def checked(
        self, skip_bad_images: bool = False, progress: ProgressCallback | None = None
    ) -> "Dataset":
        """Read every image of every split once.

        Args:
            skip_bad_images: leave out unreadable images, with a note that lists them.
            progress: called with (images done, images in all) after every image.

        Raises:
            RequestError: there are bad images, or a class has no training images without them.
        """
        paths = [path for split in self.splits.values() for path in split.paths]
        bad = check_images(paths, skip_bad_images, progress)
        if not bad:
            return self
        left_out = {image.path for image in bad}
        kept = self._map(lambda split: Split(tuple(x for x in split if x.path not in left_out)))
        if lost := sorted(set(self.train.labels) - set(kept.train.labels)):
            names = listed(self.class_names[label] for label in lost)
            raise RequestError(f"no training image of {names} can be read:\n{list_bad(bad)}")
        note = f"images left out because they cannot be read: {len(bad)}\n{list_bad(bad)}"
        return replace(kept, notes=(*self.notes, note), selection=self._selection_without(left_out))

    def _map(self, change: Callable[[Split], Split]) -> "Dataset":
        shifted = {name: change(split) for name, split in self.shifted.items()}
        train, val, test = change(self.train), change(self.val), change(self.test)
        return replace(self, train=train, val=val, test=test, shifted=shifted)

    def _select(self, selection: Selection) -> "Dataset":
        train, val = self.train.take(selection.train), self.val.take(selection.val)
        return replace(self, train=train, val=val, selection=selection)

    def _selection_without(self, left_out: set[Path]) -> Selection | None:
        if self.selection is None:
            return None

        def keep(positions: tuple[int, ...], split: Split) -> tuple[int, ...]:
            pairs = zip(positions, split.paths, strict=True)
            return tuple(position for position, path in pairs if path not in left_out)

        train, val = keep(self.selection.train, self.train), keep(self.selection.val, self.val)
        return replace(self.selection, train=train, val=val)
