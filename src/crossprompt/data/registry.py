"""Data sets by name. Being here is being in every generic test."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crossprompt.data.benchmarks.catalog import BENCHMARKS, load_benchmark
from crossprompt.data.benchmarks.emoji import load_emoji
from crossprompt.data.csv_file import load_csv
from crossprompt.data.dataset import Dataset
from crossprompt.data.folder import load_folder
from crossprompt.errors import RequestError
from crossprompt.utils.text import did_you_mean, nearest

ROOT_VARIABLE = "CROSSPROMPT_DATA"
"""The environment variable with the default of ``root``."""


@dataclass(frozen=True)
class DatasetEntry:
    """A data set that can be loaded by name."""

    loader: Callable[..., Dataset]
    """Takes ``root`` and the options, which are those of its signature."""
    uses_variable: bool = True
    """True if ``CROSSPROMPT_DATA`` is the default of ``root``."""


OWN = ("folder", "csv")
"""Names that read a user's own files."""
DATASETS: dict[str, DatasetEntry] = {
    "emoji": DatasetEntry(load_emoji, uses_variable=False),  # its pictures are drawn, into a cache
    "folder": DatasetEntry(load_folder),
    "csv": DatasetEntry(load_csv, uses_variable=False),  # its paths are relative to the file
    **{name: DatasetEntry(partial(load_benchmark, entry)) for name, entry in BENCHMARKS.items()},
}
"""Every data set that ``load_dataset`` knows."""


def load_dataset(
    name: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, **options: Any
) -> Dataset:
    """Load a data set by its name in ``DATASETS``, or from the path of a folder or ``.csv`` file.

    Args:
        name: a name, or a path; a name wins over a folder that is called so (write ``./emoji`` for
            the folder). ``pacs:sketch`` is ``pacs`` with the option ``source="sketch"``.
        root: the folder of the data; by default the environment variable ``CROSSPROMPT_DATA``.
            For a CSV file, the folder that image paths are relative to, by default the file's; for
            ``emoji``, the folder to draw the pictures into, by default a cache.
        options: those of the data set's loader, such as ``class_names`` or ``seed`` for a folder.

    Raises:
        RequestError: the data set or an option is unknown, or the data is not as expected.
    """
    before, colon, source = str(name).partition(":")
    if colon and before in BENCHMARKS and BENCHMARKS[before].domains:
        if "source" in options:
            raise RequestError(f"{name} names the source domain; leave source= away")
        name, options = before, {"source": source, **options}
    if isinstance(name, str) and name in DATASETS:
        entry = DATASETS[name]
        if root is None and entry.uses_variable:
            root = os.environ.get(ROOT_VARIABLE) or None
        return _call(name, entry.loader, options if root is None else {"root": root, **options})
    path = Path(name)
    if path.is_dir():
        if root is not None:
            raise RequestError(f"{path} is a folder with the data itself; leave root={root} away")
        return _call(str(path), load_folder, {"root": path, **options})
    if path.is_file() and path.suffix.lower() == ".csv":
        return _call(str(path), load_csv, {"path": path, "root": root, **options})
    raise RequestError(_unknown(path))


def _call(name: str, loader: Callable[..., Dataset], options: dict[str, Any]) -> Dataset:
    parameters = inspect.signature(loader).parameters
    for option in options:
        if option not in parameters:
            meant = did_you_mean(option, parameters)
            raise RequestError(f"the data set {name} has no option {option!r}; {meant}")
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in options:
            raise RequestError(
                f"the data set {name} needs the option {option}, which says where it is"
                + (f" (--root, or {ROOT_VARIABLE})" if option == "root" else "")
                + (f"; your folder {name} is ./{name}" if Path(name).is_dir() else "")
            )
    return loader(**options)


def _unknown(path: Path) -> str:
    if path.is_file():
        return f"{path} is neither a folder nor a .csv file; give one of them, or a data set's name"
    known = [name for name in DATASETS if name not in OWN]
    beside = [x for x in path.parent.glob("*") if x.is_dir() or x.suffix == ".csv"]
    found = nearest(path.name, [x.name for x in beside], 0.8)
    near = str(path.with_name(found)) if found else nearest(str(path), known)
    hint = f" (did you mean {near!r}?)" if near else ""
    return (
        f"no data set, folder or .csv file is called {str(path)!r}{hint}; "
        f"known data sets: {', '.join(known)}"
    )
