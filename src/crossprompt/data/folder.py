"""A data set from folders of images: one folder per class, in ``train/ val/ test/`` or not."""

import os
from collections import Counter
from pathlib import Path

from crossprompt.data.class_names import ClassNames, composed
from crossprompt.data.dataset import Dataset
from crossprompt.data.few_shot import Share
from crossprompt.data.files import list_files, list_folders, walk
from crossprompt.data.images import is_image_name
from crossprompt.data.labelled import SPLIT_NAMES, LabelledFile, assemble
from crossprompt.errors import RequestError
from crossprompt.utils.text import listed


def load_folder(
    root: str | os.PathLike[str],
    class_names: ClassNames = None,
    seed: int = 1,
    val: Share | None = None,
    test: Share | None = None,
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
    files: list[LabelledFile] = []
    labels: dict[str, set[str]] = {}
    notes: list[str] = []
    endings: Counter[str] = Counter()
    if splits and (others := set(list_folders(root)) - {*splits.values()}):
        names = listed(sorted(folder.name for folder in others))
        notes.append(f"folders left out of {root}, being no splits: {names}")
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
            for file in list_files(folder):
                if is_image_name(file.name):
                    files.append(LabelledFile(file, composed(folder.name), split))
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
        if folder not in divided and list_files(folder):
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
