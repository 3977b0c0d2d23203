"""Official annotation files that are text, read where CoOp's split file is not there.

Every function takes the place and returns a division. Labels and class names are those of CoOp's
files (KaiyangZhou/CoOp, datasets/*.py). Where there is no official ``val``, a fifth of each class's
training images is drawn for it, as CoOp did.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from crossprompt.data.benchmarks.benchmark import (
    VAL,
    Division,
    Place,
    Row,
    division_of,
    draw_splits,
)
from crossprompt.data.files import list_folders
from crossprompt.data.images import list_images
from crossprompt.errors import RequestError
from crossprompt.utils.optional import require_extra

CAR_NAMES, CAR_TRAIN = "devkit/cars_meta.mat", "devkit/cars_train_annos.mat"
CAR_TEST = "cars_test_annos_withlabels.mat"
FLOWER_LABELS, FLOWER_SPLITS, FLOWER_NAMES = "imagelabels.mat", "setid.mat", "cat_to_name.json"


def read_cars(place: Place) -> Division:
    """Stanford Cars: names, and for each image its file and class from 1; the year goes first.

    A fifth of each class's training images is drawn for ``val``, as CoOp did.
    """
    names = [_year_first(str(name)) for name in _read(place.folder / CAR_NAMES, "class_names")]

    def rows(folder: str, file: str) -> Iterable[Row]:
        for entry in _read(place.folder / file, "annotations"):
            if not isinstance(entry, dict) or not {"class", "fname"} <= entry.keys():
                raise RequestError(
                    f"{place.folder / file} does not say each image's class; get the file of that "
                    "name with labels"
                )
            label = int(entry["class"]) - 1
            if not 0 <= label < len(names):
                raise RequestError(f"{place.folder / file} has a class beyond those in {CAR_NAMES}")
            yield Row(f"{folder}/{entry['fname']}", label, names[label])

    train = draw_splits(list(rows("cars_train", CAR_TRAIN)), VAL, 0)
    rows_of = {**train, "test": rows("cars_test", CAR_TEST)}
    return division_of(rows_of, place.images, place.folder)


def read_flowers(place: Place) -> Division:
    """Oxford Flowers: the class of each image, from 1, and the official splits if they are there.

    Without ``setid.mat`` each class is shared out 50/20/30 by a draw, as CoOp did.
    """
    labels = [int(label) for label in _read(place.folder / FLOWER_LABELS, "labels")]
    names = _flower_names(place, labels)
    rows = [
        Row(f"image_{number:05d}.jpg", label - 1, names[str(label)])
        for number, label in enumerate(labels, start=1)
    ]
    official = place.folder / FLOWER_SPLITS
    if not official.exists():
        return division_of(draw_splits(rows), place.images, place.folder)
    keys = {"train": "trnid", "val": "valid", "test": "tstid"}
    picked = {
        split: [rows[int(number) - 1] for number in _read(official, key)]
        for split, key in keys.items()
    }
    return division_of(picked, place.images, place.folder)


def _flower_names(place: Place, labels: Iterable[int]) -> dict[str, str]:
    """Label, from "1", to name, for each of the labels."""
    try:
        names = dict(json.loads(place.read(FLOWER_NAMES)))
    except (TypeError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{place.folder / FLOWER_NAMES} is no JSON of names") from error
    if lacking := {str(label) for label in labels} - names.keys():
        raise RequestError(
            f"{place.folder / FLOWER_NAMES} has no name for the label {min(lacking)}; get it again"
        )
    return names


def _year_first(name: str) -> str:
    """ "Acura RL Sedan 2012" as "2012 Acura RL Sedan"."""
    words, _, year = name.rpartition(" ")
    return f"{year} {words}"


def _read(path: Path, key: str) -> list[Any]:
    """The entries of one variable.

    Raises:
        RequestError: scipy is not installed, or the file is missing, damaged or lacks the variable.
    """
    require_extra("data", ["scipy"], f"reading {path.name}")
    from scipy.io import loadmat

    if not path.exists():
        raise RequestError(f"there is no file {path}")
    try:
        value = loadmat(path, simplify_cells=True)[key]
    except Exception as error:  # on garbage scipy raises anything
        reason = f"no variable {key!r}" if isinstance(error, KeyError) else str(error)
        raise RequestError(f"{path} cannot be read: {reason}; get it again") from error
    return [value] if isinstance(value, str | dict | int) else list(value)


def read_class_folders(
    place: Place, ignored: Collection[str] = (), names: Mapping[str, str] | None = None
) -> Division:
    """Draw 50 % train, 20 % val and 30 % test of each class, as CoOp did for want of a split.

    Args:
        place: where the files are.
        ignored: folders that are no classes.
        names: class names other than the folders'.
    """
    rows = list_class_folders(place.images, place.images, ignored, names)
    return division_of(draw_splits(rows), place.images, place.images)


def list_class_folders(
    folder: Path,
    images: Path,
    ignored: Collection[str] = (),
    names: Mapping[str, str] | None = None,
) -> list[Row]:
    """A row for each image in each class folder; labels count the sorted folders.

    Args:
        folder: holds the class folders.
        images: the folder that paths begin in.
        ignored: folders that are no classes.
        names: class names other than the folders'.
    """
    classes = [each for each in list_folders(folder) if each.name not in ignored]
    names = names or {}
    return [
        Row(path, label, names.get(each.name, each.name))
        for label, each in enumerate(classes)
        for path in relative_images(each, images)
    ]


def relative_images(folder: Path, start: Path) -> Iterable[str]:
    """The images in a folder, sorted, as paths relative to ``start``."""
    return (path.relative_to(start).as_posix() for path in list_images(folder))


def read_pets(place: Place) -> Division:
    """``annotations/{trainval,test}.txt``: "Abyssinian_100 1 1 1" is image, class from 1, …."""

    def rows(name: str) -> Iterable[Row]:
        for line in place.lines(name):
            image, label, *_ = _fields(line, 2, name)
            yield Row(f"{image}.jpg", _number(label, name) - 1, image.rpartition("_")[0].lower())

    return _held_out(
        place, rows("annotations/trainval.txt"), rows("annotations/test.txt"), "annotations"
    )


def read_food(place: Place) -> Division:
    """``meta/{train,test}.txt``: "apple_pie/1005649"."""
    train, test = ([f"{x}.jpg" for x in place.lines(f"meta/{s}.txt")] for s in ("train", "test"))
    numbers = _numbered(train, test)
    return _held_out(place, _by_folder(train, numbers), _by_folder(test, numbers), "meta")


def read_textures(place: Place) -> Division:
    """``labels/{train,val,test}1.txt``, the first of ten official splits:
    "banded/banded_0002.jpg"."""
    paths = {split: place.lines(f"labels/{split}1.txt") for split in ("train", "val", "test")}
    numbers = _numbered(*paths.values())
    rows = {split: _by_folder(listed, numbers) for split, listed in paths.items()}
    return division_of(rows, place.images, place.folder / "labels")


def read_scenes(place: Place) -> Division:
    """SUN397: ``ClassName.txt`` ("/a/apse/indoor") and ``{Training,Testing}_01.txt``.

    The name of "/a/apse/indoor" is "indoor apse".
    """
    numbers = {line.strip("/"): label for label, line in enumerate(place.lines("ClassName.txt"))}

    def rows(name: str) -> Iterable[Row]:
        for line in place.lines(name):
            folder = line.strip("/").rpartition("/")[0]
            _, *words = folder.split("/")
            yield Row(line.strip("/"), _label(folder, numbers, name), " ".join(reversed(words)))

    return _held_out(place, rows("Training_01.txt"), rows("Testing_01.txt"), "ClassName.txt")


def read_actions(place: Place) -> Division:
    """UCF101: ``ucfTrainTestlist/{classInd,trainlist01,testlist01}.txt``, naming videos.

    The middle frame of "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi" is
    "Apply_Eye_Makeup/v_ApplyEyeMakeup_g08_c01.jpg".
    """
    folder = "ucfTrainTestlist"
    pairs = (_fields(line, 2, "classInd.txt") for line in place.lines(f"{folder}/classInd.txt"))
    numbers = {name: _number(label, "classInd.txt") - 1 for label, name in pairs}

    def rows(name: str) -> Iterable[Row]:
        for line in place.lines(f"{folder}/{name}"):
            action, _, video = line.split()[0].partition("/")
            words = "_".join(re.findall("[A-Z][^A-Z]*", action))
            frame = video.removesuffix(".avi") + ".jpg"
            yield Row(f"{words}/{frame}", _label(action, numbers, name), words)

    return _held_out(place, rows("trainlist01.txt"), rows("testlist01.txt"), folder)


def read_aircraft(place: Place) -> Division:
    """``variants.txt`` and ``images_variant_{train,val,test}.txt``: "1025794 Boeing 707-320"."""
    numbers = {name: label for label, name in enumerate(place.lines("variants.txt"))}

    def rows(name: str) -> Iterable[Row]:
        for line in place.lines(name):
            image, _, variant = line.partition(" ")  # names hold spaces
            yield Row(f"{image}.jpg", _label(variant, numbers, name), variant)

    lists = {split: rows(f"images_variant_{split}.txt") for split in ("train", "val", "test")}
    return division_of(lists, place.images, place.folder)


def _held_out(place: Place, train: Iterable[Row], test: Iterable[Row], source: str) -> Division:
    """The division with a fifth of each class's training images for ``val``."""
    drawn = draw_splits(list(train), VAL, 0)
    return division_of({**drawn, "test": test}, place.images, place.folder / source)


def _numbered(*lists: list[str]) -> dict[str, int]:
    """A label for each class folder in lists of paths, in the order of their names."""
    folders = sorted({path.partition("/")[0] for paths in lists for path in paths})
    return {folder: label for label, folder in enumerate(folders)}


def _by_folder(paths: list[str], numbers: dict[str, int]) -> Iterable[Row]:
    for path in paths:
        folder = path.partition("/")[0]
        yield Row(path, numbers[folder], folder)


def _label(name: str, numbers: dict[str, int], source: str) -> int:
    if name not in numbers:
        raise RequestError(f"{source} names the class {name!r}, which the list of classes lacks")
    return numbers[name]


def _fields(line: str, count: int, source: str) -> list[str]:
    fields = line.split()
    if len(fields) < count:
        raise RequestError(f"{source} holds the line {line!r:.80}; expected {count} words or more")
    return fields


def _number(word: str, source: str) -> int:
    if not word.isdecimal():
        raise RequestError(f"{source} holds {word!r:.40} where a class's number is expected")
    return int(word)
