"""Rows from folders of class folders, for data sets whose folders are all they say."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from crossprompt.data.division import Division, Row, division_of, draw_splits
from crossprompt.data.files import list_folders
from crossprompt.data.images import list_images
from crossprompt.data.place import Place


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
