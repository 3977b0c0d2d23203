"""ImageNet and the four test sets that go with it.

All share ``classnames.txt`` ("n01440764 tench" a line). A label is the position of its WordNet id
among those of the data set, sorted.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from crossprompt.data.benchmarks.lists import Place, read_lines
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.files import list_files, list_folders, walk
from crossprompt.data.images import is_image_name
from crossprompt.errors import RequestError
from crossprompt.utils.text import listed

CLASS_NAMES = "classnames.txt"


def read_imagenet(place: Place) -> Dataset:
    """``images/train`` and ``images/val``, which is the literature's test set; no third split.

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
    train, test = splits.get("train", Split()), splits.get("test", Split())
    return Dataset("imagenet", tuple(names.values()), train, test=test, notes=notes)


def read_matched(place: Place) -> Dataset:
    """ImageNetV2: the folder ``0`` to ``999`` is the number of the class's line."""
    names = read_names(place)
    label_of = {wnid: label for label, wnid in enumerate(sorted(names))}
    numbers = {str(line): label_of[wnid] for line, wnid in enumerate(names)}
    class_names = tuple(names[wnid] for wnid in label_of)
    return Dataset("imagenetv2", class_names, test=_list_split(place.images, numbers))


def read_sketches(place: Place) -> Dataset:
    """ImageNet-Sketch: a folder for each class."""
    return _read_classes(place, read_names(place))


def read_some_classes(place: Place) -> Dataset:
    """ImageNet-A and -R: a folder for each of 200 classes, the only ones that count."""
    names = read_names(place)
    found = {folder.name for folder in list_folders(place.images)}
    return _read_classes(place, {wnid: names[wnid] for wnid in found & names.keys()})


def _read_classes(place: Place, names: Mapping[str, str]) -> Dataset:
    numbers = {wnid: label for label, wnid in enumerate(sorted(names))}
    class_names = tuple(names[wnid] for wnid in numbers)
    return Dataset("imagenet", class_names, test=_list_split(place.images, numbers))


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
    path = (there or [place.folder])[0] / CLASS_NAMES
    pairs = [line.partition(" ") for line in read_lines(path)]
    names = {wnid: name.strip() for wnid, _, name in pairs}
    if len(names) < len(pairs) or not all(names.values()):
        raise RequestError(
            f"{path} is not as expected: a line a class, each with its own WordNet id and a name, "
            "such as 'n01440764 tench'"
        )
    seen: Counter[str] = Counter()
    for wnid, name in names.items():
        names[wnid] = (name, name[:1].upper() + name[1:], name.upper())[min(seen[name], 2)]
        seen[name] += 1
    return names


def _list_split(folder: Path, numbers: Mapping[str, int]) -> Split:
    """The images in the class folders of a folder, by label; ``numbers`` has those of all."""
    classes = {each.name: each for each in list_folders(folder)}
    if not classes:
        count = len(list_files(folder, recursive=False))
        raise RequestError(
            f"{folder} holds {count} files and no class folders; expected a folder for each class, "
            f"such as {folder.name}/{next(iter(numbers), 'n01440764')}: move every image into its "
            "class's folder (for ImageNet's val the script valprep.sh does it)"
        )
    for which, problem in (
        (sorted(classes.keys() - numbers.keys()), f"that are no classes in {CLASS_NAMES}"),
        (sorted(numbers.keys() - classes.keys()), "missing"),
    ):
        if which:
            found = listed(which, 3, str)
            raise RequestError(f"{folder}: {len(which)} class folders {problem}: {found}")
    return Split(
        tuple(
            Item(Path(path), label)
            for name, label in sorted(numbers.items(), key=lambda pair: pair[1])
            for path in walk(classes[name], recursive=False)
            if is_image_name(path)
        )
    )
