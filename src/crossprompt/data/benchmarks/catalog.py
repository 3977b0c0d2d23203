"""The benchmark data sets by name, and the shifted test sets that go with them."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from msgspec import convert

from crossprompt.data.benchmarks.benchmark import Benchmark, load_benchmark
from crossprompt.data.benchmarks.imagenet import read_names
from crossprompt.data.dataset import Dataset
from crossprompt.data.files import list_folders
from crossprompt.errors import RequestError

_CATALOG = files("crossprompt.data.benchmarks").joinpath("catalog.toml").read_text("utf-8")

BENCHMARKS = {
    name: convert({"name": name, **entry}, Benchmark)
    for name, entry in tomllib.loads(_CATALOG).items()
}
"""Every benchmark data set. Being in ``catalog.toml`` is being in every generic test."""


@dataclass(frozen=True)
class ShiftedSet:
    """A test set, and the positions of its classes among those of the training data set."""

    data: Dataset
    """Its ``test`` split is labelled in its own classes."""
    positions: tuple[int, ...]
    """For each of its classes, the column of a classifier of all classes; only these columns are
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
