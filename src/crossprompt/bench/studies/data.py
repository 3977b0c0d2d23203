"""Whether the data that a study needs is there."""

from collections.abc import Sequence
from pathlib import Path

from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.benchmarks.check import check_benchmark


def missing_data(datasets: Sequence[str], root: Path) -> dict[str, list[str]]:
    """What is wrong with the data, by data set; nothing is if empty.

    Args:
        datasets: names of benchmarks; their shifted sets are looked at too.
        root: folder of the data sets.
    """
    names = dict.fromkeys(x for name in datasets for x in (name, *BENCHMARKS[name].shifted))
    found = {name: check_benchmark(BENCHMARKS[name], root).problems for name in names}
    return {name: list(problems) for name, problems in found.items() if problems}
