"""What one of the field's benchmark data sets is, and loading it from the layout it has on disk."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from crossprompt.data.division import Division, division_of, missing_images
from crossprompt.data.items import Dataset
from crossprompt.data.place import Place
from crossprompt.data.split_file import read_split_file
from crossprompt.errors import RequestError

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
    """Licence, or what its site says of use."""
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
