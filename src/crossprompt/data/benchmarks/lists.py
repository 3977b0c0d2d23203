"""Published lists of images: CoOp's split files, FGVC-Aircraft's lists, and data sets from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta

from crossprompt.data.class_names import readable
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.few_shot import positions_by_label, split_class
from crossprompt.errors import RequestError
from crossprompt.utils.files import read_json, read_lines

SPLITS_PAGE = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"
"""The page that links CoOp's split files and class names."""

VAL, TEST, SEED = 0.2, 0.3, 1
"""Shares of each class, as CoOp drew them where there are no splits, and the seed of the draw."""


@dataclass(frozen=True)
class Place:
    """The folders of one data set."""

    root: Path
    """The folder that holds every data set."""
    folder: Path
    """The data set's own folder, with its lists."""
    images: Path
    """The folder that paths of images are relative to."""


class ImageRow(NamedTuple):
    """An image in a list."""

    path: str
    """Path relative to the image folder."""
    label: Annotated[int, Meta(ge=0)]
    """Number of the class, from 0."""
    class_name: str


@dataclass(frozen=True)
class SplitFile:
    """The content of CoOp's split file: JSON with a list of ``[path, label, class name]`` each."""

    train: list[ImageRow]
    val: list[ImageRow]
    test: list[ImageRow]


def read_split_file(path: Path, images: Path) -> Dataset:
    """Read CoOp's split file, whose paths are relative to ``images``.

    Raises:
        RequestError: it is missing or not as described.
    """
    if not path.exists():
        raise RequestError(f"{path.name} is not in {path.parent}; get it from {SPLITS_PAGE}")
    content = read_json(path, SplitFile, f"get it again from {SPLITS_PAGE}", largest=2**27)
    return dataset_of(vars(content), images, path)


def read_aircraft(place: Place) -> Dataset:
    """``variants.txt`` and ``images_variant_{train,val,test}.txt``: "1025794 Boeing 707-320"."""
    variants = read_lines(place.folder / "variants.txt")
    numbers = {name: label for label, name in enumerate(variants)}

    def rows(path: Path) -> Iterable[ImageRow]:
        for line in read_lines(path):
            image, _, variant = line.partition(" ")  # names hold spaces
            if variant not in numbers:
                raise RequestError(f"{path} has the class {variant!r}, which variants.txt lacks")
            yield ImageRow(f"{image}.jpg", numbers[variant], variant)

    splits = ("train", "val", "test")
    lists = {split: rows(place.folder / f"images_variant_{split}.txt") for split in splits}
    return dataset_of(lists, place.images, place.folder)


def dataset_of(rows: Mapping[str, Iterable[ImageRow]], images: Path, source: Path) -> Dataset:
    """The data set of the rows of each split; others than train, val and test are shifted ones.

    Paths are relative to ``images``; ``source`` is the file or folder of the rows, for errors.

    Raises:
        RequestError: a label has two names, or none.
    """
    names: dict[int, str] = {}
    splits: dict[str, Split] = {}
    for split, listed in rows.items():
        items = []
        for row in listed:
            if names.setdefault(row.label, row.class_name) != row.class_name:
                raise RequestError(
                    f"{source} calls the label {row.label} both {names[row.label]!r} and "
                    f"{row.class_name!r}; get the published file"
                )
            items.append(Item(images / row.path, row.label))
        splits[split] = Split(tuple(items))
    if lacking := sorted(set(range(max(names, default=0) + 1)) - names.keys()):
        raise RequestError(f"{source} has no image of the label {lacking[0]}; get it again")
    class_names = tuple(readable(names[label]) for label in range(len(names)))
    train, val, test = (splits.pop(name, Split()) for name in ("train", "val", "test"))
    return Dataset(source.name, class_names, train, val, test, shifted=splits, root=images)


def draw_splits(rows: Sequence[ImageRow]) -> dict[str, list[ImageRow]]:
    """Divide the images of each class 50/20/30 % by a seeded draw, in their order."""
    splits: dict[str, list[ImageRow]] = {"train": [], "val": [], "test": []}
    for positions in positions_by_label([row.label for row in rows]).values():
        name = rows[positions[0]].class_name
        drawn = split_class(len(positions), name, SEED, VAL, TEST)
        for position, split in zip(positions, drawn, strict=True):
            splits[split].append(rows[position])
    return splits
