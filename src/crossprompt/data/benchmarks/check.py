"""What is missing or in the wrong place in a benchmark's folder, in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossprompt.data.benchmarks.benchmark import (
    SPLITS_PAGE,
    Benchmark,
    Division,
    Place,
    compare_sizes,
    describe_missing,
    missing_images,
    read_division,
)
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.check_images import Progress, check_images, list_bad
from crossprompt.data.files import list_files, list_folders
from crossprompt.errors import RequestError

Branches = dict[str, Any]
"""What is in a folder, by name; a file has nothing in it."""


def draw_tree(benchmark: Benchmark) -> str:
    """The folder of a benchmark with one image and every file that is read, a line each."""
    folder, images = benchmark.places[0]
    remarks = {f"{images}/{benchmark.example}".strip("/"): "and so on"}
    if benchmark.split_file:
        remarks[benchmark.split_file] = "from CoOp"
    need = "instead of CoOp's file" if benchmark.split_file else ""
    need = "if you have the official splits" if benchmark.domains else need
    remarks |= {file: need for file in benchmark.files}
    branches: Branches = {}
    for path in remarks:
        within = branches
        for part in path.split("/"):
            within = within.setdefault(part, {})
    return "\n".join([f"{folder}/", *_lines(branches, "", "", remarks)])


def _lines(branches: Branches, indent: str, path: str, remarks: dict[str, str]) -> list[str]:
    lines = []
    for name, within in branches.items():
        last = name == list(branches)[-1]
        here = f"{path}/{name}".strip("/")
        text = f"{indent}{'└── ' if last else '├── '}{name}{'/' if within else ''}"
        lines.append(f"{text}  ({remarks[here]})" if remarks.get(here) else text)
        lines += _lines(within, indent + ("    " if last else "│   "), here, remarks)
    return lines


ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
"""Endings of files that are to be unpacked."""
DEPTH = 3
"""How far below the root a folder in the wrong place is looked for."""


@dataclass(frozen=True)
class Findings:
    """What was found of a benchmark."""

    benchmark: Benchmark
    """Which one."""
    place: Place | None = None
    """Where it is; None if it is not there."""
    classes: int = 0
    """Number of classes found."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Number of images found, by split or domain as published."""
    problems: tuple[str, ...] = ()
    """What is wrong; nothing is if empty."""
    notes: tuple[str, ...] = ()
    """What is worth knowing and not wrong."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        benchmark = self.benchmark
        return {
            "name": benchmark.name,
            "fine": not self.problems,
            "folder": None if self.place is None else str(self.place.folder),
            "images": None if self.place is None else str(self.place.images),
            "classes": {"found": self.classes, "published": benchmark.classes},
            "sizes": {
                name: {"found": self.sizes.get(name, 0), "published": number}
                for name, number in benchmark.sizes.items()
            },
            "problems": list(self.problems),
            "notes": list(self.notes),
            "get_images": benchmark.url,
            "get_split_file": SPLITS_PAGE if benchmark.split_file else None,
            "terms": benchmark.terms,
            "tree": draw_tree(benchmark),
        }


def check_benchmark(
    benchmark: Benchmark, root: Path, deep: bool = False, progress: Progress | None = None
) -> Findings:
    """Compare a benchmark's folder with what it should be.

    Args:
        benchmark: which one.
        root: the folder that holds its folder.
        deep: open every image.
        progress: called with (images opened, images in all).
    """
    place = benchmark.find(root)
    if place is None:
        return Findings(benchmark, problems=tuple(_explain_absence(benchmark, root)))
    problems: list[str] = []
    notes: list[str] = []
    divisions: dict[str, Division] = {}
    for source in benchmark.domains or ("",):
        sources = (source,) if source else ()
        try:
            divisions[source] = division = read_division(benchmark, place, *sources)
        except RequestError as error:
            problems.append(str(error))
            continue
        # of a data set that has a split file there is one note: that it is not there
        (problems if benchmark.split_file else notes).extend(division.notes)
        problems += [describe_missing(division), *compare_sizes(benchmark, division, *sources)]
    if deep:
        problems += _open_all(list(divisions.values()), progress)
    return Findings(
        benchmark,
        place,
        max((len(division.class_names) for division in divisions.values()), default=0),
        _count(divisions),
        tuple(dict.fromkeys(problem for problem in problems if problem)),
        tuple(dict.fromkeys(notes)),
    )


def _count(divisions: dict[str, Division]) -> dict[str, int]:
    """The images that are there, by domain or, where there are none, by split."""
    sizes: dict[str, int] = {}
    for source, division in divisions.items():
        missing = set(missing_images(division))
        for split, items in division.splits.items():
            if split not in division.shifted:
                there = sum(path not in missing for path in items.paths)
                sizes[source or split] = sizes.get(source or split, 0) + there
    return sizes


def _open_all(divisions: list[Division], progress: Progress | None) -> list[str]:
    splits = [split for division in divisions for split in division.splits.values()]
    missing = {path for division in divisions for path in missing_images(division)}
    paths = [path for split in splits for path in split.paths if path not in missing]
    bad = check_images(paths, skip_bad=True, progress=progress)
    return [f"{len(bad)} images cannot be read:\n{list_bad(bad)}"] if bad else []


def _explain_absence(benchmark: Benchmark, root: Path) -> Iterator[str]:
    """Why nothing was found, and where it may be instead."""
    folders = list(dict.fromkeys(folder for folder, _ in benchmark.places))
    there = [root / folder for folder, _ in benchmark.places if (root / folder).is_dir()]
    if there:
        lacking = " or ".join(dict.fromkeys(x for f, x in benchmark.places if root / f == there[0]))
        yield f"{there[0]} has no folder {lacking}"
    else:
        yield f"{root} has no folder {' or '.join(folders)}"
    if root.name in folders:
        yield f"the root is the folder that holds {root.name}: give {root.absolute().parent}"
    goal = root.joinpath(*benchmark.places[0])
    for folder in _elsewhere(benchmark, root):
        yield f"what may be its images is in {folder}; move it to {goal}"
    for folder in dict.fromkeys((root, *there)):
        for file in list_files(folder, recursive=False):
            if file.suffix.lower() in ARCHIVES and _concerns(benchmark, file, folder in there):
                yield f"{file} is not unpacked"


def _concerns(benchmark: Benchmark, archive: Path, within: bool) -> bool:
    """Whether an archive seems to be a benchmark's: it lies in its folder, or is called so."""
    names = {part for pair in benchmark.places for part in pair} - {"", "images"}
    return within or any(archive.name.casefold().startswith(name.casefold()) for name in names)


def _elsewhere(benchmark: Benchmark, root: Path) -> Iterator[Path]:
    """Folders below the root that are called as the benchmark's image folder is."""
    taken = [images for other in BENCHMARKS.values() for images in {i for _, i in other.places}]
    endings = [
        [images] if taken.count(images) == 1 and images else f"{folder}/{images}".split("/")
        for folder, images in benchmark.places
    ]
    endings = [[part for part in ending if part] for ending in endings]
    for folder in _below(root, DEPTH):
        if any(list(folder.parts[-len(ending) :]) == ending for ending in endings):
            yield folder


def _below(folder: Path, depth: int) -> Iterator[Path]:
    for each in list_folders(folder) if depth else []:
        yield each
        yield from _below(each, depth - 1)
