"""A data set from folders of images: one folder per class, in ``train/ val/ test/`` or not."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crossprompt.data.class_names import ClassNames, composed
from crossprompt.data.dataset import Dataset
from crossprompt.data.few_shot import Share
from crossprompt.data.files import list_files, list_folders
from crossprompt.data.images import EXTENSIONS
from crossprompt.data.labelled import (
    SPLIT_NAMES,
    LabelledFile,
    assemble,
    check_division,
    divide,
)
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
        class_names: other names than the folders', as a file, a list or a mapping; see
            ``name_classes``.
        seed: of the draw.
        val: share of each class for ``val`` where the folder does not say, 0.1 by default.
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
    folders = list_folders(root)
    split_folders = _split_folders(root, folders)
    found = _Found()
    if split_folders:
        found.add_splits(root, folders, split_folders)
        files, notes = found.files, check_division(found.files, root, val, test)
    else:
        found.add_classes(root, folders, "")
        files, notes = divide(found.files, root, seed, val, test)
    labels = sorted(set().union(*found.labels.values()))
    name = root.resolve().name or "folder"
    return assemble(name, root, root, files, labels, class_names, [*found.notes, *notes])


def _split_folders(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
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


@dataclass
class _Found:
    """What has been found in class folders so far."""

    files: list[LabelledFile] = field(default_factory=list)
    labels: dict[str, set[str]] = field(default_factory=dict)
    """The class folders of each split."""
    endings: Counter[str] = field(default_factory=Counter)
    """How often files with an ending that is not an image's were left out."""
    loose: list[str] = field(default_factory=list)
    """Notes about folders and images that are in no class folder."""

    @property
    def notes(self) -> list[str]:
        """Sentences about what was left out."""
        if not self.endings:
            return self.loose
        counts = (f"{count} {end or '(none)'}" for end, count in sorted(self.endings.items()))
        return [*self.loose, f"files left out for their ending, no image's: {', '.join(counts)}"]

    def add_splits(
        self, root: Path, folders: Sequence[Path], split_folders: dict[str, Path]
    ) -> None:
        """Take in the class folders of all splits, which must be the same."""
        if others := [folder.name for folder in folders if folder not in split_folders.values()]:
            self.loose.append(f"folders left out of {root}, being no splits: {listed(others)}")
        for split, folder in split_folders.items():
            self.add_classes(folder, list_folders(folder), split)
        (first, expected), *rest = self.labels.items()
        for split, labels in rest:
            only = [(first, sorted(expected - labels)), (split, sorted(labels - expected))]
            differences = [f"only in {name}: {listed(names)}" for name, names in only if names]
            if differences:
                raise RequestError(
                    f"{split_folders[first]} and {split_folders[split]} hold different classes, "
                    f"{'; '.join(differences)}; expected the same folders, spelled the same"
                )

    def add_classes(self, parent: Path, folders: Sequence[Path], split: str) -> None:
        """Take in the class folders of a split."""
        loose = [file for file in list_files(parent, recursive=False) if _is_image(file)]
        if not folders:
            raise RequestError(
                f"{parent} holds {len(loose) or 'no'} images and no class folders; "
                "put the images of each class into a folder named after it"
            )
        if loose:
            self.loose.append(f"images left out of {parent}, being in no class: {len(loose)}")
        self.labels[split] = {composed(folder.name) for folder in folders}
        for folder in folders:
            for file in list_files(folder):
                if _is_image(file):
                    self.files.append(LabelledFile(file, composed(folder.name), split))
                else:
                    self.endings[file.suffix.lower()] += 1


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS
