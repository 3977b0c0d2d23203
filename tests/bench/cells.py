"""A cell to be changed by the tests, small data to compute it on, and its task."""

from pathlib import Path
from typing import Any

from crossprompt.bench.grid import Cell
from crossprompt.bench.task import Task
from tests.conftest import write_photos

FOUR = ("cat", "dogs", "hot_air_balloon", "yorkshire_terrier")
TRAINING = {"epochs": 2, "batch_size": 4}
"""A few steps."""


def a_cell(**changes: Any) -> Cell:
    values: dict[str, Any] = {
        "protocol": "few-shot",
        "dataset": "emoji",
        "method": "coop",
        "backbone": "tiny",
        "dtype": "fp32",
        "shots": 1,
        "seed": 1,
    }
    return Cell(**{**values, **changes})


def a_task(output: Path, *cells: Cell) -> Task:
    return Task(cells, root=None, device="cpu", threads=1, states=output / "cells")


def four_classes(folder: Path) -> Path:
    """A folder of four class folders, with 10 images each."""
    return write_photos(folder, FOUR)
