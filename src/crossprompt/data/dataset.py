"""A data set: class names and, for each split, image files with labels."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any, overload

from crossprompt.data.check_images import Progress, check_images, list_bad
from crossprompt.data.few_shot import sample_few_shot
from crossprompt.errors import RequestError, UnsuitableError


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


_FORMAT = {"format": "crossprompt-selection", "version": 1}


@dataclass(frozen=True)
class Selection:
    """Which images of a data set are a few-shot set."""

    fingerprint: str
    """Of the data set that was drawn from."""
    shots: int
    """Images of a class."""
    seed: int
    """Of the draw."""
    nested: bool
    """Whether sets of fewer shots lie in those of more."""
    train: tuple[int, ...]
    """Positions in the training list, in the order drawn."""
    val: tuple[int, ...]
    """Positions in the validation list, in the order drawn."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file."""
        Path(path).write_text(json.dumps({**_FORMAT, **asdict(self)}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Selection":
        """Read what ``save`` wrote.

        Raises:
            RequestError: the file is missing, damaged, or no selection of this version.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RequestError(f"cannot read the selection {path}: {error.strerror}") from error
        except ValueError as error:  # not JSON, or not even text
            raise RequestError(f"{path} is not a selection of images: {error}") from error
        found = content if isinstance(content, dict) else {}
        if (header := {key: found.pop(key, None) for key in _FORMAT}) != _FORMAT:
            raise RequestError(
                f"{path} is not a selection of images: it begins with {header}, not {_FORMAT}"
            )
        return cls(**_entries(found, path))


def _entries(found: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    names = {field.name for field in fields(Selection)}
    if found.keys() != names:
        raise RequestError(f"{path} holds the entries {sorted(found)}; expected {sorted(names)}")
    for name, value in found.items():
        expected = {"fingerprint": str, "nested": bool, "train": list, "val": list}.get(name, int)
        positions = value if isinstance(value, list) else []
        if type(value) is not expected or any(type(x) is not int or x < 0 for x in positions):
            raise RequestError(
                f"{path}: the entry {name!r} does not hold what a selection holds there"
            )
    return found | {"train": tuple(found["train"]), "val": tuple(found["val"])}


__all__ = ["Dataset", "Item", "Split"]

_LISTED = 10
_EACH_SHORT = 3
"""More classes than these that have too few images are told in one note."""


@dataclass(frozen=True)
class Dataset:
    """Images of the same classes in up to three splits and any number of shifted test sets.

    Raises:
        RequestError: a label has no class name.
    """

    name: str
    """What to call it in results."""
    class_names: tuple[str, ...]
    """The name of each label, as it stands in a prompt."""
    train: Split = field(default_factory=Split)
    """Images to learn from."""
    val: Split = field(default_factory=Split)
    """Images to choose settings with."""
    test: Split = field(default_factory=Split)
    """Images to report on, never learned from or chosen with."""
    shifted: Mapping[str, Split] = field(default_factory=dict)
    """Other test images of the same classes, for example in other styles."""
    template: str = "a photo of a {}."
    """The text for a class name where no prompt is learned."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about what was found odd, and what was done about it."""
    root: Path | None = None
    """Where paths begin in the fingerprint; by default the folder that all images share."""
    selection: Selection | None = field(default=None, repr=False)
    """Which images of a larger data set this few-shot set holds."""
    obstacle: str = field(default="", repr=False)
    """Why no few-shot set can be drawn, where what is published does not allow it."""

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            if not isinstance(items := getattr(self, name), Split):
                object.__setattr__(self, name, Split(tuple(items)))
        for name, split in self.splits.items():
            labels, classes = split.labels, len(self.class_names)
            if labels and not 0 <= min(labels) <= max(labels) < classes:
                raise RequestError(
                    f"{self.name}: the {name} split has labels from {min(labels)} to "
                    f"{max(labels)}; "
                    f"expected 0 to {classes - 1}, as there are {classes} class names"
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
            raise RequestError(
                f"{shots!r} shots were asked for; a few-shot set needs at least 1 image of each "
                "class"
            )
        if not isinstance(seed, Integral):
            raise RequestError(f"the seed of the draw is {seed!r:.40}, expected a whole number")
        shots, seed = int(shots), int(seed)  # which may be numpy's
        notes = self._shortages(shots)
        positions = sample_few_shot(self.train.labels, self.val.labels, shots, seed, nested)
        selection = Selection(self.fingerprint, shots, seed, nested, *positions)
        return replace(self._select(selection), notes=(*self.notes, *notes))

    def save_selection(self, path: str | os.PathLike[str]) -> None:
        """Write which images of the larger data set ``few_shot`` drew, as JSON.

        Raises:
            RequestError: this is no few-shot set, or a subset of one.
        """
        if self.selection is None:
            raise RequestError(
                f"{self.name} is not as few_shot() drew it; save the selection of what few_shot() "
                "returns"
            )
        self.selection.save(path)

    def load_selection(self, path: str | os.PathLike[str]) -> "Dataset":
        """Draw the few-shot set again that ``save_selection`` wrote down.

        Raises:
            RequestError: the file is no selection, or one of other images, labels or class names.
        """
        selection = Selection.load(path)
        if selection.fingerprint != self.fingerprint:
            raise RequestError(
                f"{path} selects from a data set with the fingerprint "
                f"{selection.fingerprint[:12]}, "
                f"but {self.name} has {self.fingerprint[:12]}: class names, files or labels "
                "differ; "
                "load the data that the selection is of"
            )
        try:
            return self._select(selection)
        except IndexError:
            raise RequestError(
                f"{path} names images beyond the end of {self.name}'s lists; it is damaged"
            ) from None

    def subset(self, which: str) -> "Dataset":
        """Half of the classes, labelled from 0, as base-to-new does after ``few_shot``.

        Args:
            which: ``base`` is the first half, rounded up, ``new`` the others, ``all`` everything.

        Raises:
            RequestError: no such subset, or no class in it.
        """
        half = (len(self.class_names) + 1) // 2
        bounds = {
            "all": (0, len(self.class_names)),
            "base": (0, half),
            "new": (half, len(self.class_names)),
        }
        if which not in bounds:
            raise RequestError(f"no class subset {which!r}; expected one of {', '.join(bounds)}")
        if which == "all":
            return self
        start, stop = bounds[which]
        if start == stop:
            raise RequestError(
                f"{self.name} has {len(self.class_names)} class, too few for {which} classes"
            )

        def keep(split: Split) -> Split:
            return Split(
                tuple(Item(x.path, x.label - start) for x in split if start <= x.label < stop)
            )

        return replace(self._map(keep), class_names=self.class_names[start:stop], selection=None)

    def checked(self, skip_bad_images: bool = False, progress: Progress | None = None) -> "Dataset":
        """Read every image of every split once, and leave those out that cannot be read.

        Args:
            skip_bad_images: bad images are left out, with a note that lists them, and no error.
            progress: called with (images done, images in all) after every image.

        Raises:
            RequestError: there are bad images, or a class has no training images without them.
        """
        paths = [path for split in self.splits.values() for path in split.paths]
        bad = check_images(paths, skip_bad_images, progress)
        if not bad:
            return self
        left_out = {image.path for image in bad}
        kept = self._map(
            lambda split: Split(tuple(item for item in split if item.path not in left_out))
        )
        lost = sorted(set(self.train.labels) - set(kept.train.labels))
        if lost:
            names = ", ".join(repr(self.class_names[label]) for label in lost[:_LISTED])
            raise RequestError(
                f"no training image of {names} can be read; repair or replace them:\n"
                + list_bad(bad)
            )
        note = f"images left out because they cannot be read: {len(bad)}\n{list_bad(bad)}"
        return replace(kept, notes=(*self.notes, note), selection=self._selection_without(left_out))

    def _map(self, change: Callable[[Split], Split]) -> "Dataset":
        shifted = {name: change(split) for name, split in self.shifted.items()}
        return replace(
            self,
            train=change(self.train),
            val=change(self.val),
            test=change(self.test),
            shifted=shifted,
        )

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

    def _shortages(self, shots: int) -> list[str]:
        counts = Counter(self.train.labels)
        if not self.train:
            found = ", ".join(name for name, split in self.splits.items() if split) or "nothing"
            raise RequestError(f"{self.name} has no training images, only {found}; add some")
        short: dict[str, int] = {}
        for label, name in enumerate(self.class_names):
            if not counts[label]:
                raise RequestError(
                    f"class {name!r} of {self.name} has no training images; add some or leave it "
                    "out"
                )
            if counts[label] < shots:
                short[name] = counts[label]
        if len(short) > _EACH_SHORT:
            fewest = min(short, key=short.__getitem__)
            return [
                f"{len(short)} of {len(self.class_names)} classes have fewer than {shots} training "
                f"images, {fewest!r} the fewest with {short[fewest]}: all of theirs are used"
            ]
        return [_describe_shortage(name, count, shots) for name, count in short.items()]


def _describe_shortage(name: str, count: int, shots: int) -> str:
    found = "1 training image" if count == 1 else f"{count} training images"
    used = "it is used" if count == 1 else f"all {count} are used"
    return f"class {name!r} has {found}, fewer than {shots} shots: {used}"
