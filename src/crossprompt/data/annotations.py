"""Official annotation files that are text, read where CoOp's split file is not there.

Every function takes the place and returns a division. Labels and class names are those of CoOp's
files (KaiyangZhou/CoOp, datasets/*.py). Where there is no official ``val``, a fifth of each class's
training images is drawn for it, as CoOp did.
"""

import re
from collections.abc import Iterable

from crossprompt.data.division import VAL, Division, Row, division_of, draw_splits
from crossprompt.data.place import Place
from crossprompt.errors import RequestError


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
