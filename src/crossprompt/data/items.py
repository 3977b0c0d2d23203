"""A data set: class names and, for each split, image files with labels."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path

from crossprompt.data.checking import Progress, check_images, list_bad
from crossprompt.data.sampling import sample_few_shot
from crossprompt.data.selection import Selection
from crossprompt.data.split import Item, Split, fingerprint_of
from crossprompt.errors import RequestError, UnsuitableError

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
