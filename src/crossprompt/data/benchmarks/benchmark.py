"""What one of the field's benchmark data sets is, and loading it from the layout it has on disk."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from crossprompt.data.class_names import readable
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.few_shot import Share, positions_by_label, split_class
from crossprompt.errors import RequestError


@dataclass(frozen=True)
class Place:
    """Where the files of one data set are."""

    root: Path
    """The folder that holds every data set."""
    folder: Path
    """The data set's own folder, with its lists and annotations."""
    images: Path
    """The folder that the paths of images begin in."""

    def read(self, name: str) -> str:
        """A text file in the data set's folder.

        Raises:
            RequestError: it is missing or no UTF-8.
        """
        return read_text(self.folder / name)

    def lines(self, name: str) -> list[str]:
        """The lines of a text file in the data set's folder, without empty ones.

        Raises:
            RequestError: it is missing, empty or no UTF-8.
        """
        lines = [line.strip() for line in self.read(name).splitlines() if line.strip()]
        if not lines:
            raise RequestError(f"{self.folder / name} is empty; get it again")
        return lines


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        RequestError: it is missing or no UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise RequestError(f"there is no file {path}") from error
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is no UTF-8 text; get it again") from error


VAL, TEST = 0.2, 0.3
"""Shares of each class that CoOp drew where a data set has no splits of its own."""
SEED = 1
"""Of the draws made here, so that everyone without the published split has the same one."""


class Row(NamedTuple):
    """An image in a list."""

    path: str
    """Relative to the image folder."""
    label: int
    """Its class, from 0."""
    class_name: str
    """What the class is called."""


@dataclass(frozen=True)
class Division:
    """Class names and splits, as files or folders say."""

    class_names: tuple[str, ...]
    """The name of each label."""
    train: Split = field(default_factory=Split)
    """Images to learn from."""
    val: Split = field(default_factory=Split)
    """Images to choose settings with."""
    test: Split = field(default_factory=Split)
    """Images to report on."""
    shifted: Mapping[str, Split] = field(default_factory=dict)
    """Test images of other domains."""
    notes: tuple[str, ...] = ()
    """Sentences for the user."""
    class_folders: tuple[str, ...] = ()
    """What each class's folder is called, where that identifies it better than its name."""
    published: bool = True
    """Whether these are the splits that published numbers are of."""
    obstacle: str = ""
    """Why no few-shot set can be drawn, where what is published does not allow it."""
    listed: bool = False
    """Whether the images were found by looking into folders, so that none can be missing."""

    @property
    def splits(self) -> dict[str, Split]:
        """All splits by name, the shifted ones last."""
        return {"train": self.train, "val": self.val, "test": self.test, **self.shifted}


def division_of(rows: Mapping[str, Iterable[Row]], images: Path, source: Path) -> Division:
    """Make the division that lists of rows say.

    Args:
        rows: of each split, ``train``, ``val`` or ``test``; all others become shifted ones.
        images: the folder that paths begin in.
        source: what the rows were read from, for errors.

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
    if not names:
        raise RequestError(
            f"{source} names no images, so no classes; expected an image of each class at least"
        )
    if lacking := sorted(set(range(max(names) + 1)) - names.keys()):
        raise RequestError(
            f"{source} has no image of the label {lacking[0]}, though there is a label {max(names)}"
        )
    class_names = tuple(readable(names[label]) for label in range(len(names)))
    train, val, test = (splits.pop(name, Split()) for name in ("train", "val", "test"))
    return Division(class_names, train, val, test, shifted=splits)


def draw_splits(
    rows: Sequence[Row], val: Share = VAL, test: Share = TEST
) -> dict[str, Sequence[Row]]:
    """Share out the images of each class by a seeded draw; classes stay in order of appearance.

    Args:
        rows: of all classes.
        val: share of each class for ``val``.
        test: share for ``test``.
    """
    splits: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for positions in positions_by_label([row.label for row in rows]).values():
        name = rows[positions[0]].class_name
        drawn = split_class(len(positions), name, SEED, val, test)
        for position, split in zip(positions, drawn, strict=True):
            splits[split].append(rows[position])
    return dict(splits)


def missing_images(division: Division) -> list[Path]:
    """The images that a division names and that are not there; each folder is looked into once."""
    there: dict[str, frozenset[str]] = {}
    missing = []
    for path in [] if division.listed else (p for s in division.splits.values() for p in s.paths):
        folder, name = os.path.split(path)
        if folder not in there:
            there[folder] = frozenset(os.listdir(folder) if os.path.isdir(folder) else ())
        if name not in there[folder]:
            missing.append(path)
    return missing


SPLITS = ("train", "val", "test")


def read_split_file(path: Path) -> dict[str, list[Row]]:
    """Read the rows of each split.

    Args:
        path: a JSON file.

    Raises:
        RequestError: it is missing or not as described.
    """
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{path} is no JSON ({error}); get it again") from error
    if not isinstance(content, dict) or any(split not in content for split in SPLITS):
        raise RequestError(f"{path} is no split file; expected lists called {', '.join(SPLITS)}")
    return {split: [_row(entry, path) for entry in content[split]] for split in SPLITS}


def _row(entry: Any, path: Path) -> Row:
    match entry:
        case [str(image), int(label), str(name)] if label >= 0:
            return Row(image, label, name)
    raise RequestError(f"{path} holds {entry!r:.80}; expected [path, label, class name]")


SPLITS_PAGE = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"
"""Where CoOp's split files and class names are linked."""

_LISTED = 3


@dataclass(frozen=True)
class Benchmark:
    """A data set of the field: where its files lie, how they are read, what was published of it."""

    name: str
    """What ``load_dataset`` calls it."""
    title: str
    """What its authors call it."""
    places: tuple[tuple[str, str], ...]
    """Folder under the root and image folder in it; the first that is there is taken."""
    example: str
    """An image, as a path in the image folder."""
    read: Callable[..., Division]
    """Reads the official files in a place; for data sets of several domains, of a ``source``."""
    classes: int
    """Published number of classes."""
    sizes: dict[str, int]
    """Published number of images of each split; of each domain, where there are several."""
    terms: str
    """License, or what its site says of use."""
    url: str
    """Where to get the images."""
    template: str = "a photo of a {}."
    """CoOp's hand-written text for a class name."""
    split_file: str = ""
    """CoOp's split file in the folder, which wins over the official files."""
    instead: str = ""
    """What the splits are without the split file."""
    files: tuple[str, ...] = ()
    """Files in the folder that are needed, or needed without the split file."""
    domains: tuple[str, ...] = ()
    """The domains, where there are several."""
    leeway: dict[str, int] = field(default_factory=dict)
    """Of a split or domain, published images that may lack: copies differ in leaving out damaged
    ones."""
    shifted: tuple[str, ...] = ()
    """Data sets that are shifted test sets of this one."""
    archives_gb: float | None = None
    """GB of the archives of its images, where the site states it."""

    @property
    def images(self) -> int:
        """Published number of images."""
        return sum(self.sizes.values())

    def find(self, root: Path) -> Place | None:
        """The first place whose image folder is there."""
        for folder, images in self.places:
            place = Place(root, root / folder, root / folder / images)
            if place.images.is_dir():
                return place
        return None


def load_benchmark(benchmark: Benchmark, root: str | os.PathLike[str]) -> Dataset:
    """Load a data set in the splits that published numbers are of.

    Args:
        benchmark: which one.
        root: the folder that holds the data set's folder.

    Raises:
        RequestError: something is missing or not as published.
    """
    place, division = load_division(benchmark, Path(root))
    return dataset_of(benchmark, place, division)


def load_domains(
    benchmark: Benchmark, root: str | os.PathLike[str], source: str | None = None
) -> Dataset:
    """Load a data set of several domains: one to learn from, the others as shifted sets.

    Args:
        benchmark: which one.
        root: the folder that holds the data set's folder.
        source: the domain to learn from.

    Raises:
        RequestError: there is no such domain, or something is missing or not as published.
    """
    if source is None or source not in benchmark.domains:
        found = "no domain to learn from was given" if source is None else f"no domain {source!r}"
        names = ", ".join(f"{benchmark.name}:{domain}" for domain in benchmark.domains)
        raise RequestError(f"{benchmark.title}: {found}; expected one of {names}")
    place, division = load_division(benchmark, Path(root), source)
    return dataset_of(benchmark, place, division, source)


def load_division(benchmark: Benchmark, root: Path, *source: str) -> tuple[Place, Division]:
    """Where a data set is and what its splits are; every image in them is there.

    Raises:
        RequestError: something is missing or not as published; it names the command that tells
            more.
    """
    try:
        place = benchmark.find(root)
        if place is None:
            raise RequestError(f"{benchmark.title} is not in {root}{_hint(benchmark, root)}")
        division = read_division(benchmark, place, *source)
        if missing := describe_missing(division):
            raise RequestError(missing)
    except RequestError as error:
        command = f"crossprompt data check {benchmark.name} --root {root}"
        raise RequestError(f"{error}; to see what is missing: {command}") from error
    return place, division


def dataset_of(benchmark: Benchmark, place: Place, division: Division, *source: str) -> Dataset:
    """The data set of a division; notes say what is not as published."""
    return Dataset(
        name=":".join((benchmark.name, *source)),
        class_names=division.class_names,
        train=division.train,
        val=division.val,
        test=division.test,
        shifted=division.shifted,
        template=benchmark.template,
        notes=(*division.notes, *compare_sizes(benchmark, division, *source)),
        root=place.images,
        obstacle=division.obstacle,
    )


def read_division(benchmark: Benchmark, place: Place, *source: str) -> Division:
    """The splits, from CoOp's split file if it is there, else from the official files.

    Raises:
        RequestError: a file is missing, damaged or of other classes.
    """
    path = place.folder / benchmark.split_file
    if benchmark.split_file and path.exists():
        return division_of(read_split_file(path), place.images, path)
    if not benchmark.split_file:
        return benchmark.read(place, *source)
    try:
        division = benchmark.read(place, *source)
    except RequestError as error:
        raise RequestError(
            f"{benchmark.split_file} is not in {place.folder}, and without it the official files "
            f"are needed: {error}"
        ) from error
    note = (
        f"{benchmark.split_file} is not in {place.folder}, so the splits are {benchmark.instead}: "
        f"accuracies do not compare with published ones; get it from {SPLITS_PAGE}"
    )
    return replace(division, notes=(*division.notes, note), published=False)


def compare_sizes(benchmark: Benchmark, division: Division, *source: str) -> list[str]:
    """Sentences about numbers of classes and images that are not the published ones.

    Args:
        benchmark: says the published numbers.
        division: what was found.
        source: the domain that the division learns from, if there are several.
    """
    sizes = {split: len(items) for split, items in division.splits.items()}
    found, expected = sizes, benchmark.sizes
    if source:
        total = sum(sizes[split] for split in ("train", "val", "test"))
        found, expected = {source[0]: total}, {source[0]: expected[source[0]]}
    elif not division.published:  # other splits, of the same images
        found, expected = {"all splits": sum(sizes.values())}, {"all splits": benchmark.images}
    pairs = {name: (found.get(name, 0), number) for name, number in expected.items()}
    pairs = {"classes": (len(division.class_names), benchmark.classes), **pairs}
    return [
        f"{name}: {number:,} {'' if name == 'classes' else 'images '}found, {published:,} published"
        for name, (number, published) in pairs.items()
        if not published - benchmark.leeway.get(name, 0) <= number <= published
    ]


def describe_missing(division: Division) -> str:
    """A sentence about images that are named and not there; empty if there are none."""
    missing = missing_images(division)
    if not missing:
        return ""
    named = sum(len(split) for split in division.splits.values())
    told = ", ".join(str(path) for path in missing[:_LISTED])
    more = ", …" if len(missing) > _LISTED else ""
    return f"{len(missing)} of {named} images are missing: {told}{more}"


def _hint(benchmark: Benchmark, root: Path) -> str:
    if not root.is_dir():
        return ", which is no folder"
    if root.name in (folder for folder, _ in benchmark.places):
        return f"; the root is the folder that holds {root.name}: give {root.parent}"
    return f"; expected {' or '.join('/'.join(p).rstrip('/') for p in benchmark.places)}"
