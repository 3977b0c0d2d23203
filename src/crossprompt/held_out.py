"""Which images of a data set a classifier is measured on: not those that it has learned from."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossprompt.data.items import Dataset, Item, Split
from crossprompt.data.registry import load_dataset
from crossprompt.errors import RequestError

_LISTED = 5
_HASHED = 200
"""Images whose bytes tell one data set from another of the same file names, at most."""


@dataclass(frozen=True)
class HeldOut:
    """Images to measure on."""

    data: Dataset
    """Its ``test`` and ``shifted`` splits are those images; its other splits are empty."""
    which: str
    """In words, which they are."""

    @property
    def sentence(self) -> str:
        """One line for the user."""
        count = sum(len(split) for split in self.data.splits.values())
        return f"Evaluated on {self.which.format(count)}."


def choose_held_out(
    source: str | os.PathLike[str],
    trained_on: Mapping[str, Any],
    *,
    all_images: bool = False,
    **options: Any,
) -> HeldOut:
    """Find the images to measure on.

    Where the data says which images are for testing, those are taken. Where it does not (a folder
    of class folders, a CSV file without splits), all are, unless the classifier was trained on this
    very data: then the images that were held out.

    Args:
        source: what ``load_dataset`` takes.
        trained_on: what the classifier says of its data, see ``describe_data``.
        all_images: take every image of every split, whatever it was used for.
        options: for ``load_dataset``.

    Raises:
        RequestError: the data cannot be loaded, or has no test images.
    """
    undivided = _load_undivided(source, options)
    if all_images:
        data = undivided or load_dataset(source, **options)
        return HeldOut(_all_for_testing(data), f"all {{}} images of {data.name}")
    if undivided is None:
        data = load_dataset(source, **options)
        if not (data.test or any(data.shifted.values())):
            raise RequestError(f"{data.name} has no test images; --all-images takes every image")
        return HeldOut(_without_training(data), f"the {{}} test images of {data.name}")
    divided = _try_to_load(source, options)
    if divided is not None and _is_of(divided, trained_on):
        which = f"the {{}} images of {divided.name} that were held out of the training"
        return HeldOut(_without_training(divided), f"{which} (all of them: --all-images)")
    which = f"all {{}} images of {undivided.name}"
    if undivided.name == trained_on.get("name"):
        which += "; if it is the folder of that name that was trained on, changed since, its "
        which += "training images are among them"
    return HeldOut(_all_for_testing(undivided), which)


def describe_data(data: Dataset) -> dict[str, Any]:
    """What a classifier keeps, to know the data again that it was trained on.

    Args:
        data: the whole data set, whose training images it learns from.
    """
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "test_images": _digest(data.test),  # the fingerprint only knows what they are called
    }


def relabelled(split: Split, names: Sequence[str], known: Sequence[str]) -> Split:
    """A split with the classifier's labels in place of the data's, matched by class name.

    Args:
        split: labelled as the data is.
        names: the data's class names.
        known: the classifier's class names.

    Raises:
        RequestError: an image is of a class that the classifier does not know.
    """
    numbers = {name: number for number, name in enumerate(known)}
    if unknown := sorted({names[label] for label in split.labels} - set(numbers)):
        raise RequestError(
            f"the data has classes that the classifier does not know: {_listed(unknown)}; it "
            f"knows {_listed(known)}; give the data's folders its names with --class-names"
        )
    return Split(tuple(Item(item.path, numbers[names[item.label]]) for item in split))


def _is_of(data: Dataset, trained_on: Mapping[str, Any]) -> bool:
    if not data.test or data.fingerprint != trained_on.get("fingerprint"):
        return False
    return _digest(data.test) == trained_on.get("test_images")


def _digest(split: Split) -> str:
    """sha256 of the bytes of the images, or of some of them if there are many."""
    digest = hashlib.sha256()
    for path in split.paths[:: 1 + len(split) // _HASHED]:
        try:
            content = path.read_bytes()
        except OSError:  # told where the images are checked
            content = b""
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _load_undivided(source: str | os.PathLike[str], options: Mapping[str, Any]) -> Dataset | None:
    """The data with all images for testing; None where it says itself which are for what."""
    try:
        return load_dataset(source, val=0, test=1, **options)
    except RequestError:  # also where something else is wrong, which is told when it is loaded
        return None


def _try_to_load(source: str | os.PathLike[str], options: Mapping[str, Any]) -> Dataset | None:
    """The data as a fit divides it; None where no fit could, for example for a single class."""
    try:
        return load_dataset(source, **options)
    except RequestError:
        return None


def _all_for_testing(data: Dataset) -> Dataset:
    every = Split(tuple(item for split in data.splits.values() for item in split))
    return replace(_without_training(data), test=every, shifted={})


def _without_training(data: Dataset) -> Dataset:
    return replace(data, train=Split(), val=Split())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
