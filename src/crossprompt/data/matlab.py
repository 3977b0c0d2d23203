"""Official annotation files in MATLAB's format, read where CoOp's split file is not there."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossprompt.data.division import VAL, Division, Row, division_of, draw_splits
from crossprompt.data.place import Place
from crossprompt.errors import RequestError
from crossprompt.extras import require_extra

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
