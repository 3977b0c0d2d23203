"""From labelled files to a data set: what a folder and a CSV file have in common."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossprompt.data.class_names import ClassNames, name_classes
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.few_shot import Share, positions_by_label, split_class
from crossprompt.data.files import find_copies, find_equal, sort_key
from crossprompt.errors import RequestError
from crossprompt.utils.text import listed

SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""What a split may be called, in any case, and which split is meant."""

VAL, TEST = 0.1, 0.3
"""Shares of each class for ``val`` and ``test`` where the data does not say the split."""

_LISTED = 5


@dataclass(frozen=True)
class LabelledFile:
    """An image file, its label as the user wrote it, and its split (empty: not said)."""

    path: Path
    label: str
    split: str = ""


def divide(
    files: Sequence[LabelledFile], root: Path, seed: int, val: Share | None, test: Share | None
) -> tuple[list[LabelledFile], list[str]]:
    """Assign each file to a split by a seeded draw in its class; a copy is no test image.

    Returns:
        The files with their splits, in the order given, and notes for the user.

    Raises:
        RequestError: the shares are no shares, or take more than all.
    """
    val, test = VAL if val is None else val, TEST if test is None else test
    if not (0 <= val <= 1 and 0 <= test <= 1 and val + test <= 1 + 1e-9):
        raise RequestError(
            f"val={val} and test={test} are no shares; expected 0 to 1, and 1 or less together"
        )
    order = sorted(files, key=lambda file: sort_key(file.path.as_posix()))
    split_of: dict[Path, str] = {}
    for label, positions in positions_by_label([file.label for file in order]).items():
        splits = split_class(len(positions), label, seed, val, test)
        split_of |= {
            order[position].path: split for position, split in zip(positions, splits, strict=True)
        }
    divided = [replace(file, split=split_of[file.path]) for file in files]
    copies = _copies(divided)
    contradictions = note_contradictions(files, root)
    if not copies:
        return divided, contradictions
    note = f"test images left out as copies of others: {len(copies)} ({_pairs(copies, root)})"
    return [file for file in divided if file.split != "test" or file.path not in copies], [
        note,
        *contradictions,
    ]


def check_division(
    files: Sequence[LabelledFile], source: Path, val: Share | None, test: Share | None
) -> list[str]:
    """Check splits that the user made, and return notes for the user.

    Raises:
        RequestError: a test image is also in another split, or shares are given in vain.
    """
    if (val, test) != (None, None):
        raise RequestError(
            f"{source} says which images are train, val and test; leave val= and test= away"
        )
    if copies := _copies(files):
        raise RequestError(
            f"{len(copies)} test images are also in train or val, so their accuracy means nothing: "
            f"{_pairs(copies, source)}; remove them from one of the splits"
        )
    found, notes = {file.split for file in files}, note_contradictions(files, source)
    if "train" in found and "test" not in found:
        notes.append(f"{source} has no test images: an accuracy can only be measured on other data")
    return notes


def note_contradictions(files: Sequence[LabelledFile], root: Path) -> list[str]:
    """A note for the user if the same image is labelled as different classes."""
    label_of = {file.path: file.label for file in files}
    pairs = {
        other: group[0]
        for group in find_equal([*label_of])
        for other in group[1:]
        if label_of[other] != label_of[group[0]]
    }
    if not pairs:
        return []
    told = _pairs(pairs, root)
    return [f"{len(pairs)} images are labelled as different classes in several places: {told}"]


def assemble(
    name: str,
    source: Path,
    root: Path,
    files: Sequence[LabelledFile],
    labels: Sequence[str],
    class_names: ClassNames,
    notes: Sequence[str],
) -> Dataset:
    """Make the data set of files that all have a split.

    Args:
        name: of the data set.
        source: what the user named: the folder or the CSV file.
        root: the folder that paths are relative to.
        files: in the order that the splits are to have.
        labels: all labels, sorted, also those without a file.
        class_names: see ``name_classes``.
        notes: what was found so far.

    Raises:
        RequestError: class names are wrong, or training images are of one class or lack a class.
    """
    if not files:
        raise RequestError(f"no images were found in {source}; expected files such as .jpg or .png")
    names = name_classes(labels, class_names)
    number = {label: position for position, label in enumerate(labels)}
    train, val, test = (
        Split(tuple(Item(x.path, number[x.label]) for x in files if x.split == split))
        for split in ("train", "val", "test")
    )
    notes = (*notes, *_check_classes(source, labels, train, test))
    return Dataset(name, names, train, val, test, notes=notes, root=root)


def _check_classes(source: Path, labels: Sequence[str], train: Split, test: Split) -> list[str]:
    if train and len(labels) == 1:
        raise RequestError(
            f"{source} holds one class, {labels[0]!r}; a classifier needs at least two"
        )
    if lacking := _lacking(labels, train):
        raise RequestError(
            f"no training images in {source} of the class {listed(lacking)}; "
            "add images or remove the class"
        )
    if lacking := _lacking(labels, test):
        return [f"no test images, so no test accuracy, of the class {listed(lacking)}"]
    return []


def _lacking(labels: Sequence[str], split: Split) -> list[str]:
    found = set(split.labels)
    return [label for number, label in enumerate(labels) if found and number not in found]


def _copies(files: Sequence[LabelledFile]) -> dict[Path, Path]:
    test = [file.path for file in files if file.split == "test"]
    return find_copies(test, [file.path for file in files if file.split != "test"])


def _pairs(copies: dict[Path, Path], root: Path) -> str:
    pairs = [
        f"{_within(root, copy)} is {_within(root, original)}" for copy, original in copies.items()
    ]
    more = f" and {len(pairs) - _LISTED} more" if len(pairs) > _LISTED else ""
    return ", ".join(pairs[:_LISTED]) + more


def _within(root: Path, path: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
