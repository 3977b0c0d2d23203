"""Data sets of the same classes in several domains: train on one, test on all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossprompt.data.benchmarks.lists import ImageRow, Place, dataset_of, draw_splits
from crossprompt.data.dataset import Dataset
from crossprompt.data.files import list_folders, list_images
from crossprompt.errors import RequestError
from crossprompt.utils.files import read_lines
from crossprompt.utils.text import listed


@dataclass(frozen=True)
class Lists:
    """Official lists of a data set: "photo/dog/056_0001.jpg 1" a line, ``{}`` for the domain."""

    train: str
    """File of the training images."""
    test: str
    """File of the images of the same domain that are held out."""
    first_label: int
    """The number of the first class."""
    all_shifted: bool
    """True if all images of another domain are test images, not just its held-out ones."""
    damaged: tuple[str, ...] = ()
    """Images in the lists that are left out."""


def read_domains(
    place: Place, source: str, domains: Sequence[str], lists: Lists | None = None
) -> Dataset:
    """The images of one domain for train, val and test, those of every other as a shifted set.

    With the official lists there is no ``val``. Without, each class of the source domain is divided
    50/20/30 by a seeded draw, and every image of the others is a test image.

    Folders of domains may be in any case, with spaces or ``_``.

    Raises:
        RequestError: a domain's folder or list is missing, or its classes are not the others'.
    """
    there = {_plain(folder.name): folder for folder in list_folders(place.images)}
    if lacking := [domain for domain in domains if _plain(domain) not in there]:
        raise RequestError(
            f"{place.images} has no folder for {', '.join(lacking)}; expected {', '.join(domains)}"
        )
    others = [domain for domain in domains if domain != source]
    if lists is not None and (path := _list_path(place, lists.train, source)).exists():
        files = (lists.train, lists.test) if lists.all_shifted else (lists.test,)
        rows = {
            "train": list(_read_list(place, lists, lists.train, source)),
            "test": list(_read_list(place, lists, lists.test, source)),
        }
        for domain in others:
            rows[domain] = [x for file in files for x in _read_list(place, lists, file, domain)]
        data = dataset_of(rows, place.images, path.parent)
        return replace(data, obstacle=_obstacle(data, path, source))
    found = {name: _list_class_folders(there[_plain(name)], place.images) for name in domains}
    expected = {row.class_name for row in found[source]}
    for domain, listing in found.items():
        if differing := sorted(expected ^ {row.class_name for row in listing}):
            raise RequestError(
                f"{domain} and {source} in {place.images} hold different classes, such as "
                f"{differing[0]!r}; get both again"
            )
    rows = {**draw_splits(found[source]), **{domain: found[domain] for domain in others}}
    missing = "there are no official splits"
    if lists is not None:
        missing = f"{lists.train.format(source)} is not in {place.folder}"
    note = f"{missing}, so train, val and test are 50/20/30 % of each class, drawn with a seed"
    return replace(dataset_of(rows, place.images, place.images), notes=(note,))


def _list_class_folders(folder: Path, images: Path) -> list[ImageRow]:
    """A row for each image in each class folder; labels count the sorted folders."""
    return [
        ImageRow(path.relative_to(images).as_posix(), label, each.name)
        for label, each in enumerate(list_folders(folder))
        for path in list_images(each)
    ]


def _obstacle(data: Dataset, path: Path, source: str) -> str:
    """The reason why no few-shot set can be drawn from a published list that lacks a class."""
    found = {*data.train.labels}
    lacking = [name for label, name in enumerate(data.class_names) if label not in found]
    if not lacking:
        return ""
    return (
        f"{path.name}, the published list, names no image of {listed(lacking, 3)}, so a few-shot "
        f"set of all classes cannot be drawn from {source}; train on another domain"
    )


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "").replace("_", "")


def _list_path(place: Place, file: str, domain: str) -> Path:
    """The list of a domain, which is in ``splits`` or beside the domains."""
    name = file.format(domain)
    within = place.folder / "splits" / name
    return within if within.exists() else place.folder / name


def _read_list(place: Place, lists: Lists, file: str, domain: str) -> Iterator[ImageRow]:
    path = _list_path(place, file, domain)
    for line in read_lines(path):
        image, _, label = line.rpartition(" ")
        parts = image.split("/")
        if image in lists.damaged:
            continue
        if len(parts) < 3 or not label.isdecimal() or int(label) < lists.first_label:
            raise RequestError(
                f"{path} holds the line {line!r:.80}; expected 'domain/class/image.jpg number'"
            )
        yield ImageRow(image, int(label) - lists.first_label, parts[-2])
