"""ImageNet and the four test sets that go with it.

All share ``classnames.txt`` ("n01440764 tench" a line). A label is the position of its WordNet id
among those of the data set, sorted.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from crossprompt.data.benchmarks.benchmark import Division, Place
from crossprompt.data.dataset import Item, Split
from crossprompt.data.files import is_visible, list_files, list_folders, sort_key
from crossprompt.data.images import EXTENSIONS
from crossprompt.errors import RequestError

CLASS_NAMES = "classnames.txt"

_LISTED = 3


def read_imagenet(place: Place) -> Division:
    """``images/train`` and ``images/val``, which is the field's test set; there is no third split.

    One of both may be absent.
    """
    names = dict(sorted(read_names(place).items()))
    numbers = {wnid: label for label, wnid in enumerate(names)}
    folders = {"train": place.images / "train", "test": place.images / "val"}
    there = {split: folder for split, folder in folders.items() if folder.is_dir()}
    if not there:
        raise RequestError(f"{place.images} has no folder train and none called val")
    splits = {split: _list_split(folder, numbers) for split, folder in there.items()}
    notes = tuple(
        f"{folder} is not there, so there are no {split} images"
        for split, folder in folders.items()
        if split not in there
    )
    return _division(names, notes=notes, **splits)


def read_matched(place: Place) -> Division:
    """ImageNetV2: the folder ``0`` to ``999`` is the number of the class's line."""
    lines = read_names(place)
    names = dict(sorted(lines.items()))
    by_wnid = {wnid: label for label, wnid in enumerate(names)}
    numbers = {str(line): by_wnid[wnid] for line, wnid in enumerate(lines)}
    return _division(names, test=_list_split(place.images, numbers))


def read_sketches(place: Place) -> Division:
    """ImageNet-Sketch: a folder for each class."""
    names = dict(sorted(read_names(place).items()))
    numbers = {wnid: label for label, wnid in enumerate(names)}
    return _division(names, test=_list_split(place.images, numbers))


def read_some_classes(place: Place) -> Division:
    """ImageNet-A and -R: a folder for each of 200 classes, which are all that count."""
    names = read_names(place)
    found = {folder.name for folder in list_folders(place.images)}
    names = {wnid: names[wnid] for wnid in sorted(found & names.keys())}
    numbers = {wnid: label for label, wnid in enumerate(names)}
    return _division(names, test=_list_split(place.images, numbers))


def read_names(place: Place) -> dict[str, str]:
    """WordNet id to class name, in the order of the lines.

    The file may be in the data set's folder or in ImageNet's. Of two classes of one name (CLIP's
    list has two "sunglasses") the second gets a capital letter: tokenizers read both alike, as in
    published results, and tables can tell them apart.

    Raises:
        RequestError: the file is missing or not as described.
    """
    folders = (place.folder, place.root / "imagenet")
    there = [folder for folder in folders if (folder / CLASS_NAMES).exists()]
    found = Place(place.root, there[0] if there else place.folder, place.images)
    pairs = [line.partition(" ") for line in found.lines(CLASS_NAMES)]
    names = {wnid: name.strip() for wnid, _, name in pairs}
    if len(names) < len(pairs) or not all(names.values()):
        raise RequestError(
            f"{found.folder / CLASS_NAMES} is not as expected: a line a class, each with its own "
            "WordNet id and a name, such as 'n01440764 tench'"
        )
    return _told_apart(names)


def _told_apart(names: Mapping[str, str]) -> dict[str, str]:
    seen: Counter[str] = Counter()
    told = {}
    for wnid, name in names.items():
        told[wnid] = (name, name[:1].upper() + name[1:], name.upper())[min(seen[name], 2)]
        seen[name] += 1
    return told


def _division(names: Mapping[str, str], notes: tuple[str, ...] = (), **splits: Split) -> Division:
    return Division(
        tuple(names.values()),
        train=splits.get("train", Split()),
        test=splits.get("test", Split()),
        notes=notes,
        class_folders=tuple(names),
        listed=True,
    )


def _list_split(folder: Path, numbers: Mapping[str, int]) -> Split:
    """The images in the class folders of a folder, by label.

    Args:
        folder: holds the class folders.
        numbers: the label of each class folder; all have to be there.
    """
    classes = list_folders(folder)
    if not classes:
        count = len(list_files(folder, recursive=False))
        raise RequestError(
            f"{folder} holds {count} files and no class folders; expected a folder for each class, "
            f"such as {folder.name}/{next(iter(numbers), 'n01440764')}: move every image into its "
            "class's folder (for ImageNet's val the script valprep.sh does it)"
        )
    found = {each.name: each for each in classes}
    for which, problem in (
        (sorted(found.keys() - numbers.keys()), f"that are no classes in {CLASS_NAMES}"),
        (sorted(numbers.keys() - found.keys()), "missing"),
    ):
        if which:
            told = ", ".join(which[:_LISTED]) + (", …" if len(which) > _LISTED else "")
            raise RequestError(f"{folder}: {len(which)} class folders {problem}: {told}")
    order = sorted(found, key=lambda name: numbers[name])
    return Split(
        tuple(Item(path, numbers[name]) for name in order for path in _images_in(found[name]))
    )


def _images_in(folder: Path) -> Iterator[Path]:
    """The images in a class folder, sorted: ImageNet has 1.3 million, and none lie deeper."""
    names = (name for name in os.listdir(folder) if is_visible(name))
    images = [name for name in names if os.path.splitext(name)[1].lower() in EXTENSIONS]
    return (folder / name for name in sorted(images, key=sort_key))
