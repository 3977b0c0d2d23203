"""A data set from folders of images: one folder per class, in ``train/ val/ test/`` or not."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from crossprompt.data.class_names import ClassNames, composed, name_classes
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.few_shot import SplitSize, positions_by_label, split_class
from crossprompt.data.files import is_image_name, list_folders, sort_key, walk
from crossprompt.errors import RequestError
from crossprompt.utils.files import hash_file
from crossprompt.utils.text import listed

SPLIT_NAMES = dict(train="train", val="val", valid="val", validation="val", test="test")
"""Accepted names of splits, in lower case, and the split that each stands for."""

VAL, TEST = 0.1, 0.3
"""Shares of each class for ``val`` and ``test`` where the data has no splits."""


@dataclass(frozen=True)
class LabeledFile:
    """An image file, its label as the user wrote it, and its split (empty if there are none)."""

    path: Path
    label: str
    split: str = ""


def assemble(
    name: str,
    source: Path,
    root: Path,
    files: Sequence[LabeledFile],
    class_names: ClassNames,
    seed: int,
    val: SplitSize | None,
    test: SplitSize | None,
    labels: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """The data set of labelled files, all with a split or none; those are divided by a draw.

    ``source`` is the folder or the CSV file, for messages; ``labels`` are all labels, also those
    without a file; the other arguments are those of ``load_folder``.

    Raises:
        RequestError: class names or shares are wrong, a test image is also in another split, or
            training images are of one class or lack a class.
    """
    if not files:
        raise RequestError(f"no images were found in {source}; expected files such as .jpg or .png")
    has_splits = bool(files[0].split)
    if not has_splits:
        files = _divide(files, seed, VAL if val is None else val, TEST if test is None else test)
    elif (val, test) != (None, None):
        raise RequestError(
            f"{source} says which images are train, val and test; leave val= and test= away"
        )
    copies, contradictions = _find_duplicates(files)
    notes = list(notes)
    if copies and has_splits:
        raise RequestError(
            f"{len(copies)} test images are also in train or val, so their accuracy means nothing: "
            f"{_pairs(copies, root)}; remove them from one of the splits"
        )
    if copies:
        files = [file for file in files if file.path not in copies]
        pairs = _pairs(copies, root)
        notes.append(f"test images left out as copies of others: {len(copies)} ({pairs})")
    if contradictions:
        notes.append(
            f"{len(contradictions)} images are labelled as different classes in several places: "
            f"{_pairs(contradictions, root)}"
        )
    labels = sorted(labels or {file.label for file in files})
    names = name_classes(labels, class_names)
    number = {label: position for position, label in enumerate(labels)}
    training, validation, testing = (
        Split(tuple(Item(x.path, number[x.label]) for x in files if x.split == split))
        for split in ("train", "val", "test")
    )
    if training and len(labels) == 1:
        raise RequestError(f"{source} holds one class, {labels[0]!r}; expected at least two")
    if lacking := _without_images(labels, training):
        raise RequestError(
            f"no training images in {source} of the class {listed(lacking)}; add images or remove "
            "the class"
        )
    if lacking := _without_images(labels, testing):
        notes.append(f"no test images, so no test accuracy, of the class {listed(lacking)}")
    if has_splits and training and not testing:
        notes.append(f"{source} has no test images: an accuracy can only be measured on other data")
    return Dataset(name, names, training, validation, testing, notes=tuple(notes), root=root)


def _divide(
    files: Sequence[LabeledFile], seed: int, val: SplitSize, test: SplitSize
) -> list[LabeledFile]:
    if not (0 <= val <= 1 and 0 <= test <= 1 and val + test <= 1 + 1e-9):
        raise RequestError(
            f"val={val} and test={test} are no shares; expected 0 to 1, and 1 or less together"
        )
    order = sorted(files, key=lambda file: sort_key(file.path.as_posix()))
    split_of: dict[Path, str] = {}
    for label, positions in positions_by_label([file.label for file in order]).items():
        splits = split_class(len(positions), label, seed, val, test)
        split_of |= {order[x].path: split for x, split in zip(positions, splits, strict=True)}
    return [replace(file, split=split_of[file.path]) for file in files]


def _find_duplicates(files: Sequence[LabeledFile]) -> tuple[dict[Path, Path], dict[Path, Path]]:
    """Test images that are copies of others, and images that are copies of another class's."""
    copies: dict[Path, Path] = {}
    contradictions: dict[Path, Path] = {}
    file_of = {file.path: file for file in files}
    for group in find_equal(file_of):
        first, *others = members = [file_of[path] for path in group]
        contradictions |= {x.path: first.path for x in others if x.label != first.label}
        if used := [x.path for x in members if x.split != "test"]:
            copies |= {x.path: used[0] for x in members if x.split == "test"}
    return copies, contradictions


def find_equal(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of two or more files of the same bytes; only files of equal size are read."""
    of_size, groups = defaultdict(list), defaultdict(list)
    for path in paths:
        with suppress(OSError):  # the check of the images reports it, and empty files
            of_size[path.stat().st_size].append(path)
    for size, candidates in of_size.items():
        for path in candidates if size and len(candidates) > 1 else ():
            with suppress(OSError):
                groups[hash_file(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]


def _without_images(labels: Sequence[str], split: Split) -> list[str]:
    """The labels that no image of a split has; none if the split is empty."""
    found = set(split.labels)
    return [label for number, label in enumerate(labels) if found and number not in found]


def _pairs(copies: dict[Path, Path], root: Path) -> str:
    start = f"{root.as_posix().rstrip('/')}/"
    names = {path: path.as_posix().removeprefix(start) for pair in copies.items() for path in pair}
    return listed((f"{names[x]} is {names[y]}" for x, y in copies.items()), 5, str)


def load_folder(
    root: str | os.PathLike[str],
    class_names: ClassNames = None,
    seed: int = 1,
    val: SplitSize | None = None,
    test: SplitSize | None = None,
) -> Dataset:
    """Load a folder of class folders, or of ``train/``, ``val/`` and ``test/`` that hold such.

    Of ``train/``, ``val/`` (or ``valid/``, ``validation/``) and ``test/`` any may be absent; those
    there hold the same classes. Without them the images of each class are divided by a seeded draw:
    60 % train, 10 % val, 30 % test, at least one for train and, of two or more, one for test.
    Folders in a class folder are searched too, links are followed, hidden files are not seen.
    Labels are the class folders in the order of their names (by code point).

    Args:
        root: the folder.
        class_names: other names than the folders', see ``name_classes``.
        seed: of the draw.
        val: share of each class for ``val`` where there are no splits, 0.1 by default.
        test: share of each class for ``test``, 0.3 by default; with 1 all images are test images,
            with 0 none.

    Raises:
        RequestError: the folder or its classes are not as described; the message says what was
            found.
    """
    root = Path(root)
    if not root.is_dir():
        raise RequestError(
            f"{root} is {'a file' if root.exists() else 'not there'}; expected a folder of images"
        )
    splits = _split_folders(root)
    files: list[LabeledFile] = []
    labels: dict[str, set[str]] = {}
    notes: list[str] = []
    endings: Counter[str] = Counter()
    if splits and (others := [x.name for x in list_folders(root) if x not in splits.values()]):
        notes.append(f"folders left out of {root}, being no splits: {listed(others)}")
    for split, parent in splits.items() if splits else [("", root)]:
        folders = list_folders(parent)
        loose = sum(map(is_image_name, walk(parent, recursive=False)))
        if not folders:
            raise RequestError(
                f"{parent} holds {loose or 'no'} images and no class folders; put the images of "
                "each class into a folder named after it"
            )
        if loose:
            notes.append(f"images left out of {parent}, being in no class: {loose}")
        labels[split] = {composed(folder.name) for folder in folders}
        for folder in folders:
            for file in map(Path, walk(folder)):
                if is_image_name(file.name):
                    files.append(LabeledFile(file, composed(folder.name), split))
                else:
                    endings[file.suffix.lower()] += 1
    _check_same_classes(labels, splits)
    if endings:
        counts = ", ".join(f"{count} {end or '(none)'}" for end, count in sorted(endings.items()))
        notes.append(f"files left out for their ending, no image's: {counts}")
    name, found = root.resolve().name or "folder", sorted(set().union(*labels.values()))
    return assemble(name, root, root, files, class_names, seed, val, test, found, notes)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split, in the order train, val, test; empty if there are none."""
    folders = list_folders(root)
    named = [folder for folder in folders if folder.name.casefold() in SPLIT_NAMES]
    divided = [folder for folder in named if list_folders(folder)]
    if not divided and len(named) < len(folders):
        return {}  # "train" stands beside "bus" and "car", and is a class like them
    found: dict[str, Path] = {}
    for folder in named:
        split = SPLIT_NAMES[folder.name.casefold()]
        if folder not in divided and any(walk(folder)):
            raise RequestError(
                f"{folder} holds files but no class folders; expected a folder for each class"
            )
        if folder in divided and found.setdefault(split, folder) != folder:
            raise RequestError(
                f"both {found[split].name} and {folder.name} in {root} are {split} images; keep one"
            )
    return {split: found[split] for split in SPLIT_NAMES.values() if split in found}


def _check_same_classes(labels: dict[str, set[str]], folders: dict[str, Path]) -> None:
    (first, expected), *rest = labels.items()
    for split, found in rest:
        only = {first: sorted(expected - found), split: sorted(found - expected)}
        if differences := [f"only in {x}: {listed(names)}" for x, names in only.items() if names]:
            raise RequestError(
                f"{folders[first]} and {folders[split]} hold different classes, "
                f"{'; '.join(differences)}; expected the same folders, spelled the same"
            )
