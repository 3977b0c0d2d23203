"""Data sets of the same classes in several domains: learn from one, test on all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossprompt.data.benchmarks.annotations import list_class_folders
from crossprompt.data.benchmarks.benchmark import (
    TEST,
    VAL,
    Division,
    Place,
    Row,
    division_of,
    draw_splits,
    read_text,
)
from crossprompt.data.files import list_folders
from crossprompt.errors import RequestError

_LISTED = 3


@dataclass(frozen=True)
class Lists:
    """Official lists of a data set: "photo/dog/056_0001.jpg 1" a line, ``{}`` for the domain."""

    train: str
    """File of the images to learn from."""
    test: str
    """File of the images of the same domain that are held out."""
    first_label: int
    """The number of the first class."""
    all_shifted: bool
    """Whether all images of another domain are test images, not just its held-out ones."""
    damaged: tuple[str, ...] = ()
    """Images that the lists name and that are no good."""


def read_domains(
    place: Place, source: str, domains: Sequence[str], lists: Lists | None = None
) -> Division:
    """The images of one domain for train, val and test, those of every other as a shifted set.

    With the official lists there is no ``val``. Without, each class of the source domain is shared
    out 50/20/30 by a seeded draw, and every image of the others is a test image.

    Args:
        place: where the files are; the domains' folders may be called in any case, with spaces or
            ``_``.
        source: the domain to learn from.
        domains: all of them.
        lists: the official ones, if there are such.

    Raises:
        RequestError: a domain's folder or list is missing, or its classes are not the others'.
    """
    folders = find_domains(place.images, domains)
    if lists is not None and _path(place, lists.train, source).exists():
        rows = {
            "train": list(_read_list(place, lists, lists.train, source)),
            "test": list(_read_list(place, lists, lists.test, source)),
        }
        for domain in domains:
            files = (lists.train, lists.test) if lists.all_shifted else (lists.test,)
            if domain != source:
                rows[domain] = [
                    row for file in files for row in _read_list(place, lists, file, domain)
                ]
        path = _path(place, lists.train, source)
        division = division_of(rows, place.images, path.parent)
        return replace(division, obstacle=_obstacle(division, path, source))
    listed = {
        domain: list_class_folders(folder, place.images) for domain, folder in folders.items()
    }
    _check_classes(listed, folders, source)
    drawn = draw_splits(listed[source], VAL, TEST)
    others = {domain: listed[domain] for domain in domains if domain != source}
    division = division_of({**drawn, **others}, place.images, place.images)
    missing = "there are no official splits"
    if lists is not None:
        missing = f"{lists.train.format(source)} is not in {place.folder}"
    note = f"{missing}, so train, val and test are 50/20/30 % of each class, drawn with a seed"
    return replace(division, notes=(note,), listed=True)


def _obstacle(division: Division, path: Path, source: str) -> str:
    """Why nothing can be drawn from a published list that lacks a class; empty if it has all."""
    listed = set(division.train.labels)
    lacking = [name for label, name in enumerate(division.class_names) if label not in listed]
    if not lacking:
        return ""
    names = ", ".join(map(repr, lacking[:_LISTED]))
    more = f" and {len(lacking) - _LISTED} more" if lacking[_LISTED:] else ""
    return (
        f"{path.name}, the published list, names no image of {names}{more}, so a few-shot set "
        f"of all classes cannot be drawn from {source}; learn from another domain"
    )


def find_domains(images: Path, domains: Sequence[str]) -> dict[str, Path]:
    """The folder of each domain.

    Raises:
        RequestError: one is missing.
    """
    there = {_plain(folder.name): folder for folder in list_folders(images)}
    if lacking := [domain for domain in domains if _plain(domain) not in there]:
        raise RequestError(
            f"{images} has no folder for {', '.join(lacking)}; expected {', '.join(domains)}"
        )
    return {domain: there[_plain(domain)] for domain in domains}


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "").replace("_", "")


def _path(place: Place, file: str, domain: str) -> Path:
    """The list of a domain, which is in ``splits`` or beside the domains."""
    name = file.format(domain)
    within = place.folder / "splits" / name
    return within if within.exists() else place.folder / name


def _read_list(place: Place, lists: Lists, file: str, domain: str) -> Iterator[Row]:
    path = _path(place, file, domain)
    for line in read_text(path).splitlines():
        image, _, label = line.strip().rpartition(" ")
        parts = image.split("/")
        if not line.strip() or image in lists.damaged:
            continue
        if len(parts) < 3 or not label.isdecimal() or int(label) < lists.first_label:
            raise RequestError(
                f"{path} holds the line {line!r:.80}; expected 'domain/class/image.jpg number'"
            )
        yield Row(image, int(label) - lists.first_label, parts[-2])


def _check_classes(listed: dict[str, list[Row]], folders: dict[str, Path], source: str) -> None:
    """All domains have to hold the classes of the source."""
    expected = {row.class_name for row in listed[source]}
    for domain, rows in listed.items():
        if differing := sorted(expected ^ {row.class_name for row in rows}):
            raise RequestError(
                f"{folders[domain]} and {folders[source]} hold different classes, such as "
                f"{differing[0]!r}; get both again"
            )
