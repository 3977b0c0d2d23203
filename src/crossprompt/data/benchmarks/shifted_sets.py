"""Test sets that are data sets of their own, with classes of their own, beside the one learned."""

from dataclasses import dataclass
from pathlib import Path

from crossprompt.data.benchmarks.benchmark import dataset_of, load_division
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.benchmarks.imagenet import read_names
from crossprompt.data.dataset import Dataset
from crossprompt.errors import RequestError


@dataclass(frozen=True)
class ShiftedSet:
    """A test set, and where its classes are among those of the data set that was learned."""

    data: Dataset
    """Its ``test`` split is labelled in its own classes."""
    positions: tuple[int, ...]
    """For each of its classes, the column of a classifier of all classes; the field compares just
    these columns, so ImageNet-A and -R are choices among 200."""


def shifted_sets_of(name: str, root: str | Path) -> dict[str, ShiftedSet]:
    """Load the shifted test sets of a data set, those that are under the root.

    ImageNet has ImageNetV2, -Sketch, -A and -R. Domains of one data set are not these: they are in
    its ``shifted`` splits.

    Args:
        name: of a benchmark.
        root: the folder that holds the data sets' folders.

    Raises:
        RequestError: there is no such benchmark, or a set is there and not as it should be.
    """
    if name not in BENCHMARKS:
        raise RequestError(f"no benchmark {name!r}; expected one of {', '.join(BENCHMARKS)}")
    sets = {}
    for other in BENCHMARKS[name].shifted:
        benchmark = BENCHMARKS[other]
        if benchmark.find(Path(root)) is None:
            continue
        place, division = load_division(benchmark, Path(root))
        column = {wnid: number for number, wnid in enumerate(sorted(read_names(place)))}
        positions = tuple(column[folder] for folder in division.class_folders)
        sets[other] = ShiftedSet(dataset_of(benchmark, place, division), positions)
    return sets
