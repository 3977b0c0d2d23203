"""Which images of a data set a classifier is measured on: not those that it has learned from."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.registry import load_dataset
from crossprompt.errors import RequestError
from crossprompt.utils.files import hash_file
from crossprompt.utils.text import listed

_HASHED = 50_000
"""Images that a classifier remembers having learned from, at most."""


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
    information: Mapping[str, Any],
    *,
    all_images: bool = False,
    **options: Any,
) -> HeldOut:
    """Find the images to measure on.

    Where the data says which images are for testing, those are taken. Where it does not (a folder
    of class folders, a CSV file without splits), all that the classifier has not learned from are;
    but of the very data that it was trained on only those that its fit has measured on, too.

    Args:
        source: what ``load_dataset`` takes.
        information: what the classifier knows of its training, see ``describe_data``.
        all_images: take every image of every split, whatever it was used for.
        options: for ``load_dataset``.

    Raises:
        RequestError: the data cannot be loaded, or has no images to measure on.
    """
    undivided = _load_undivided(source, options)
    if all_images:
        data = undivided or load_dataset(source, **options)
        which = f"all {{}} images of {data.name}, also those that it may have learned from"
        return HeldOut(_for_testing(data, _items_of(data)), which)
    if undivided is None:
        data = load_dataset(source, **options)
        if not (data.test or any(data.shifted.values())):
            raise RequestError(f"{data.name} has no test images; --all-images takes every image")
        data = replace(data, train=Split(), val=Split())
        return HeldOut(data, f"the {{}} test images of {data.name}")
    divided = _try_to_load(source, options)
    if divided is not None and _is_of_the_training(divided, information):
        which = f"the {{}} images of {divided.name} that were held out of the training"
        return HeldOut(_for_testing(divided, divided.test), f"{which} (all of them: --all-images)")
    return _unseen(undivided, set(information.get("learned_from", ())))


def _unseen(data: Dataset, learned_from: set[str]) -> HeldOut:
    unseen = [item for item in data.test if not learned_from or _hash(item) not in learned_from]
    if not unseen:
        raise RequestError(
            f"the classifier has learned from every image of {data.name}; --all-images takes them "
            "all the same"
        )
    which = f"all {{}} images of {data.name}"
    if len(unseen) < len(data.test):
        which = f"the {{}} images of {data.name} that it has not learned from (all: --all-images)"
    return HeldOut(_for_testing(data, unseen), which)


def describe_data(data: Dataset, few: Dataset) -> dict[str, Any]:
    """What a classifier keeps, so that it is never measured on what it has learned from.

    Args:
        data: the whole data set.
        few: what was drawn from it; the hashes of up to 50,000 of its images are kept.
    """
    items = [*few.train, *few.val]
    return {
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "training_images": len(few.train),  # where a class has fewer than the shots, fewer
        },
        "learned_from": [_hash(item) for item in items] if len(items) <= _HASHED else [],
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
            f"the data has classes that the classifier does not know: {listed(unknown)}; it "
            f"knows {listed(known)}; give the data's folders its names with --class-names "
            "(class_names=…)"
        )
    return Split(tuple(Item(item.path, numbers[names[item.label]]) for item in split))


def _is_of_the_training(data: Dataset, information: Mapping[str, Any]) -> bool:
    if not data.test or data.fingerprint != information.get("data", {}).get("fingerprint"):
        return False
    # the fingerprint only knows what images are called: another folder may call them the same
    known = {_hash(item) for item in (*data.train, *data.val)}
    return known >= set(information.get("learned_from", ()))


def _hash(item: Item) -> str:
    """The beginning of the sha256 of the file's bytes."""
    try:
        return hash_file(item.path)[:16]
    except OSError:  # told where the images are checked
        return ""


def hash_all(hashes: Sequence[str]) -> str:
    """One hash of those of many images, in order."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


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


def _items_of(data: Dataset) -> list[Item]:
    return [item for split in data.splits.values() for item in split]


def _for_testing(data: Dataset, items: Sequence[Item]) -> Dataset:
    test = Split(tuple(items))
    return replace(data, train=Split(), val=Split(), test=test, shifted={}, selection=None)
