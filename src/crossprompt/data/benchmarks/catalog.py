"""The benchmark data sets: where their files lie, how they are read, the published numbers."""

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from msgspec import convert

from crossprompt.data.benchmarks.domains import Lists, read_domains
from crossprompt.data.benchmarks.imagenet import (
    read_classes,
    read_imagenet,
    read_matched,
    read_names,
)
from crossprompt.data.benchmarks.lists import Place, read_aircraft, read_split_file
from crossprompt.data.dataset import Dataset
from crossprompt.data.files import list_folders
from crossprompt.errors import RequestError
from crossprompt.utils.text import listed

READERS: dict[str, Callable[[Place], Dataset]] = {
    "imagenet": read_imagenet,
    "imagenetv2": read_matched,
    "imagenet_sketch": read_classes,
    "imagenet_a": partial(read_classes, some=True),
    "imagenet_r": partial(read_classes, some=True),
    "fgvc_aircraft": read_aircraft,
}
"""Readers of the data sets that have neither a split file of CoOp's nor domains."""


@dataclass(frozen=True)
class Benchmark:
    """A data set of the literature, as ``catalog.toml`` describes it."""

    name: str
    title: str
    """Name that its authors use."""
    places: tuple[tuple[str, str], ...]
    """Folder under the root and image folder in it; the first that is there is taken."""
    example: str
    """An image, as a path in the image folder."""
    classes: int
    sizes: dict[str, int]
    """Published number of images of each split; of each domain, where there are several."""
    terms: str
    """License, or the terms of use on its site."""
    url: str
    template: str = "a photo of a {}."
    """CoOp's hand-written text for a class name."""
    split_file: str = ""
    """CoOp's split file in the folder, if there is one."""
    files: tuple[str, ...] = ()
    """Other files that are read."""
    domains: tuple[str, ...] = ()
    lists: Lists | None = None
    """The official lists of the domains, if there are such."""
    leeway: dict[str, int] = field(default_factory=dict)
    """Published images of a split or domain that may lack: some copies leave out damaged ones."""
    shifted: tuple[str, ...] = ()
    """Names of the data sets that are shifted test sets of this one."""
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

    def locate(self, root: Path) -> Place:
        """``find``, or a ``RequestError`` that says where the images are expected."""
        if place := self.find(root):
            return place
        advice = f"expected {' or '.join('/'.join(x).rstrip('/') for x in self.places)}"
        if root.name in (folder for folder, _ in self.places):
            advice = f"the root is the folder that holds {root.name}: give {root.absolute().parent}"
        raise RequestError(f"{self.title} is not in {root}; {advice}")


_CATALOG = files("crossprompt.data.benchmarks").joinpath("catalog.toml").read_text("utf-8")

BENCHMARKS = {
    name: convert({"name": name, **entry}, Benchmark)
    for name, entry in tomllib.loads(_CATALOG).items()
}
"""Every benchmark data set. Being in ``catalog.toml`` is being in every generic test."""


def load_benchmark(
    benchmark: Benchmark, root: str | os.PathLike[str], source: str | None = None
) -> Dataset:
    """Load a data set in the splits of the published numbers; notes say how it differs from them.

    Args:
        benchmark: its description.
        root: the folder that holds the data set's folder.
        source: the domain to train on, where there are several; the others are shifted sets.

    Raises:
        RequestError: there is no such domain, or something is missing or not as published.
    """
    if benchmark.domains and source not in benchmark.domains:
        known = ", ".join(f"{benchmark.name}:{domain}" for domain in benchmark.domains)
        raise RequestError(f"found the source domain {source!r}, expected one of {known}")
    if source and not benchmark.domains:
        raise RequestError(f"{benchmark.name} has no domains; leave source={source} away")
    try:
        data = read_benchmark(benchmark, benchmark.locate(Path(root)), source)
        if missing := describe_missing(data, missing_images(data)):
            raise RequestError(missing)
    except RequestError as error:
        command = f"crossprompt data check {benchmark.name} --root {root}"
        raise RequestError(f"{error}; to see what is missing: {command}") from error
    return replace(data, notes=(*data.notes, *compare_sizes(benchmark, data, source)))


def read_benchmark(benchmark: Benchmark, place: Place, source: str | None = None) -> Dataset:
    """The data set as its files describe it; images may be missing.

    Raises:
        RequestError: a file is missing, damaged or of other classes.
    """
    if benchmark.split_file:
        data = read_split_file(place.folder / benchmark.split_file, place.images)
    elif source:
        data = read_domains(place, source, benchmark.domains, benchmark.lists)
    else:
        data = READERS[benchmark.name](place)
    name = ":".join(filter(None, (benchmark.name, source)))
    return replace(data, name=name, template=benchmark.template, root=place.images)


def compare_sizes(benchmark: Benchmark, data: Dataset, source: str | None = None) -> list[str]:
    """Notes about numbers of classes and images that are not the published ones."""
    found = {split: len(items) for split, items in data.splits.items()}
    expected = benchmark.sizes
    if source:
        found = {source: sum(found[split] for split in ("train", "val", "test"))}
        expected = {source: expected[source]}
    notes = []
    if len(data.class_names) != benchmark.classes:
        notes.append(f"classes: {len(data.class_names)} found, {benchmark.classes:,} published")
    for name, published in expected.items():
        number = found.get(name, 0)
        if not published - benchmark.leeway.get(name, 0) <= number <= published:
            notes.append(f"{name}: {number:,} images found, {published:,} published")
    return notes


def missing_images(data: Dataset) -> list[Path]:
    """The images of a data set that are not there; each folder is listed once."""
    names = cache(lambda folder: {*os.listdir(folder)} if folder.is_dir() else set())
    paths = (path for split in data.splits.values() for path in split.paths)
    return [path for path in paths if path.name not in names(path.parent)]


def describe_missing(data: Dataset, missing: list[Path]) -> str:
    """A sentence about images that are not there; empty if all are."""
    count = sum(map(len, data.splits.values()))
    text = f"{len(missing)} of {count} images are missing: {listed(missing, 3, str)}"
    return text if missing else ""


@dataclass(frozen=True)
class ShiftedSet:
    """A test set, and the positions of its classes among those of the training data set."""

    data: Dataset
    """Data set with a ``test`` split, labeled in its own classes."""
    positions: tuple[int, ...]
    """Column of each of its classes in a classifier of all classes; only these columns are
    compared, so ImageNet-A and -R are choices among 200."""


def shifted_sets_of(name: str, root: str | Path) -> dict[str, ShiftedSet]:
    """Load the shifted test sets of a benchmark that are under ``root``: for ImageNet, V2 to R.

    Domains of one data set are not these: they are in its ``shifted`` splits.

    Raises:
        RequestError: there is no such benchmark, or a set is there and not as it should be.
    """
    if name not in BENCHMARKS:
        raise RequestError(f"no benchmark {name!r}; expected one of {', '.join(BENCHMARKS)}")
    sets = {}
    for other in BENCHMARKS[name].shifted:
        if (place := BENCHMARKS[other].find(Path(root))) is None:
            continue
        data = load_benchmark(BENCHMARKS[other], root)
        columns = {wnid: number for number, wnid in enumerate(sorted(read_names(place)))}
        folders = (folder.name for folder in list_folders(place.images))
        known = sorted(columns[folder] for folder in folders if folder in columns)
        # ImageNetV2 has all classes, in folders that are numbers
        sets[other] = ShiftedSet(data, tuple(known or range(len(columns))))
    return sets
