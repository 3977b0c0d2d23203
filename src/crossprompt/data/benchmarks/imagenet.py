"""ImageNet and the four test sets that go with it.

All share ``classnames.txt`` ("n01440764 tench" a line). A label is the position of its WordNet id
among those of the data set, sorted.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from crossprompt.data.benchmarks.lists import Place
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.files import is_image_name, list_folders, walk
from crossprompt.errors import RequestError
from crossprompt.utils.files import read_lines
from crossprompt.utils.text import listed

CLASS_NAMES = "classnames.txt"


def read_imagenet(place: Place) -> Dataset:
    """``images/train`` and ``images/val``, which is the literature's test set; no third split.

    One of both may be absent.
    """
    names = dict(sorted(read_names(place).items()))
    numbers = {wnid: label for label, wnid in enumerate(names)}
    splits, notes = {"train": Split(), "val": Split()}, []
    for name in splits:
        folder = place.images / name
        if folder.is_dir():
            splits[name] = _list_split(folder, numbers)
        else:
            notes.append(f"{folder} is not there, so there are no such images")
    if len(notes) == len(splits):
        raise RequestError("; ".join(notes))
    train, test = splits.values()
    return Dataset("imagenet", tuple(names.values()), train, test=test, notes=tuple(notes))


def read_matched(place: Place) -> Dataset:
    """ImageNetV2: the folder ``0`` to ``999`` is the number of the class's line."""
    names = read_names(place)
    order = sorted(names)
    numbers = {str(line): order.index(wnid) for line, wnid in enumerate(names)}
    class_names = tuple(names[wnid] for wnid in order)
    return Dataset("imagenetv2", class_names, test=_list_split(place.images, numbers))


def read_classes(place: Place, some: bool = False) -> Dataset:
    """ImageNet-Sketch, a folder for each class, and -A and -R, for ``some`` classes."""
    names = read_names(place)
    if some:
        found = {folder.name for folder in list_folders(place.images)}
        names = {wnid: names[wnid] for wnid in found & names.keys()}
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
    path = place.folder / CLASS_NAMES
    if not path.exists() and (other := place.root / "imagenet" / CLASS_NAMES).exists():
        path = other
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
        count = len(list(walk(folder, recursive=False)))
        raise RequestError(
            f"{folder} holds {count} files and no class folders; expected a folder for each class, "
            f"such as {folder.name}/{next(iter(numbers), 'n01440764')}: move every image into its "
            "class's folder (for ImageNet's val the script valprep.sh does it)"
        )
    if unknown := sorted(classes.keys() - numbers.keys()):
        raise RequestError(f"{folder}: no classes in {CLASS_NAMES}: {listed(unknown, 3, str)}")
    if missing := sorted(numbers.keys() - classes.keys()):
        raise RequestError(f"{folder}: class folders missing: {listed(missing, 3, str)}")
    return Split(
        tuple(
            Item(Path(path), label)
            for name, label in sorted(numbers.items(), key=lambda pair: pair[1])
            for path in walk(classes[name], recursive=False)
            if is_image_name(path)
        )
    )
