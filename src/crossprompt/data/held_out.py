"""Chooses the images that a classifier is evaluated on: none that it was trained on."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.registry import load_dataset
from crossprompt.errors import RequestError
from crossprompt.utils.files import hash_file
from crossprompt.utils.text import listed

_HASHED = 50_000


@dataclass(frozen=True)
class HeldOut:
    """Images to evaluate on."""

    data: Dataset
    """Data set with those images as ``test`` and ``shifted``; its other splits are empty."""
    description: str
    """Phrase for the user with a ``{count}`` and a ``{name}``."""

    @property
    def sentence(self) -> str:
        """One line for the user: images that cannot be read may have been left out since."""
        count = sum(map(len, self.data.splits.values()))
        return f"Evaluated on {self.description.format(count=count, name=self.data.name)}."


def choose_held_out(
    source: str | os.PathLike[str],
    information: Mapping[str, Any],
    *,
    all_images: bool = False,
    **options: Any,
) -> HeldOut:
    """Find the images to evaluate on.

    Where the data has a test split, that is taken. Where it has none (a folder of class folders, a
    CSV file without splits), all images that the classifier was not trained on are; but of the very
    data set that it was trained on, only those that its fit held out.

    Args:
        source: as for ``load_dataset``.
        information: the classifier's record of its training data, see ``describe_data``.
        all_images: take every image of every split, also training images.
        options: for ``load_dataset``.

    Raises:
        RequestError: the data cannot be loaded, or has no images to evaluate on.
    """
    undivided = _try_to_load(source, val=0, test=1, **options)  # None if the data has splits
    if undivided is None or all_images:
        data = undivided or load_dataset(source, **options)
        if all_images:
            items = (item for split in data.splits.values() for item in split)
            return _as_test(
                data, items, "all {count} images of {name}, also any that it was trained on"
            )
        data = replace(data, train=Split(), val=Split())
        if not any(data.splits.values()):
            raise RequestError(f"{data.name} has no test images; --all-images takes every image")
        return HeldOut(data, "the {count} test images of {name}")
    divided = _try_to_load(source, **options)  # None where no fit could, as of a single class
    if divided is not None and _is_of_the_training(divided, information):
        which = (
            "the {count} images of {name} that were held out of the training (all: --all-images)"
        )
        return _as_test(divided, divided.test, which)
    trained_on = set(information.get("learned_from", ()))
    unseen = [x for x in undivided.test if not trained_on or _hash(x) not in trained_on]
    if not unseen:
        raise RequestError(
            f"the classifier was trained on every image of {undivided.name}; --all-images takes "
            "them all the same"
        )
    which = "all {count} images of {name}"
    if len(unseen) < len(undivided.test):
        which = "the {count} images of {name} that it was not trained on (all: --all-images)"
    return _as_test(undivided, unseen, which)


def describe_data(data: Dataset, few: Dataset) -> dict[str, Any]:
    """The record of a classifier's training data, so that it is never evaluated on that.

    ``few`` was drawn from ``data``; the hashes of up to 50,000 of its images are stored.
    """
    items = [*few.train, *few.val]
    return {
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "training_images": len(few.train),  # fewer if a class has fewer images than shots
        },
        "learned_from": [_hash(item) for item in items] if len(items) <= _HASHED else [],
    }


def relabel(split: Split, names: Sequence[str], known: Sequence[str]) -> Split:
    """A split with labels that count ``known`` class names, in place of the data's ``names``.

    Raises:
        RequestError: an image is of a class that the classifier does not know.
    """
    numbers = {name: number for number, name in enumerate(known)}
    if unknown := sorted({names[label] for label in split.labels} - set(numbers)):
        raise RequestError(
            f"the data has classes that the classifier does not know: {listed(unknown)}; it "
            f"knows {listed(known)}; give the data's folders its names with --class-names "
            "(class_names=…)"
        )
    return Split(tuple(Item(item.path, numbers[names[item.label]]) for item in split))


def hash_all(hashes: Sequence[str]) -> str:
    """One hash of those of many images, in order."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _is_of_the_training(data: Dataset, information: Mapping[str, Any]) -> bool:
    if not data.test or data.fingerprint != information.get("data", {}).get("fingerprint"):
        return False
    # the fingerprint has only the names of files: another folder may use the same
    known = {_hash(item) for item in (*data.train, *data.val)}
    return known >= set(information.get("learned_from", ()))


def _hash(item: Item) -> str:
    try:
        return hash_file(item.path)[:16]
    except OSError:  # reported where the images are checked
        return ""


def _try_to_load(source: str | os.PathLike[str], **options: Any) -> Dataset | None:
    try:
        return load_dataset(source, **options)
    except RequestError:
        return None


def _as_test(data: Dataset, items: Iterable[Item], which: str) -> HeldOut:
    test = Split(tuple(items))
    data = replace(data, train=Split(), val=Split(), test=test, shifted={}, selection=None)
    return HeldOut(data, which)
