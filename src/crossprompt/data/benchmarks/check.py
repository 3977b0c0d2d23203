"""Compares a benchmark's folder with its layout and the published numbers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossprompt.data.benchmarks.catalog import (
    Benchmark,
    compare_sizes,
    describe_missing,
    missing_images,
    read_benchmark,
)
from crossprompt.data.benchmarks.lists import SPLITS_PAGE, Place
from crossprompt.data.images import ProgressCallback, check_images, list_bad
from crossprompt.errors import RequestError


@dataclass(frozen=True)
class Findings:
    """The state of a benchmark's folder: numbers found, and sentences about problems."""

    benchmark: Benchmark
    place: Place | None = None
    """Folders of the data set; None if they are missing."""
    classes: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Number of images found, by split or domain as published."""
    problems: tuple[str, ...] = ()
    """One sentence for each problem; empty if the data set is complete and in its place."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The findings, how to get the files, and how their folder should look."""
        benchmark = self.benchmark
        return {
            "name": benchmark.name,
            "fine": not self.problems,
            "folder": self.place and str(self.place.folder),
            "images": self.place and str(self.place.images),
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
    benchmark: Benchmark, root: Path, deep: bool = False, progress: ProgressCallback | None = None
) -> Findings:
    """Compare a benchmark's folder under ``root`` with what is published.

    With ``deep`` every image is opened; ``progress`` is called with (images opened, images in all).
    """
    try:
        place = benchmark.locate(root)
    except RequestError as error:
        return Findings(benchmark, problems=(str(error),))
    classes, sizes = 0, dict.fromkeys(benchmark.sizes, 0)
    problems: list[str] = []
    notes: list[str] = []
    paths: list[Path] = []
    for source in benchmark.domains or (None,):
        try:
            data = read_benchmark(benchmark, place, source)
        except RequestError as error:
            problems.append(str(error))
            continue
        missing = missing_images(data)
        problems += [describe_missing(data, missing), *compare_sizes(benchmark, data, source)]
        notes += data.notes
        classes = max(classes, len(data.class_names))
        for name in ("train", "val", "test"):
            there = sorted({*data.splits[name].paths} - {*missing})
            sizes[source or name] = sizes.get(source or name, 0) + len(there)
            paths += there
    if deep and (bad := check_images(paths, skip_bad=True, progress=progress)):
        problems.append(f"{len(bad)} images cannot be read:\n{list_bad(bad)}")
    found = tuple(dict.fromkeys(problem for problem in problems if problem))
    return Findings(benchmark, place, classes, sizes, found, tuple(dict.fromkeys(notes)))


def draw_tree(benchmark: Benchmark) -> str:
    """The folder of a benchmark with one image and every file that is read, a line each."""
    folder, images = benchmark.places[0]
    remarks = {f"{images}/{benchmark.example}".strip("/"): "  (and so on)"}
    if benchmark.split_file:
        remarks[benchmark.split_file] = "  (from CoOp)"
    need = "  (if you have the official splits)" if benchmark.domains else ""
    remarks |= dict.fromkeys(benchmark.files, need)
    return "\n".join([f"{folder}/", *_branches(remarks)])


def _branches(remarks: dict[str, str], indent: str = "") -> list[str]:
    """The lines of a tree of paths, each with its remark."""
    lines = []
    names = list(dict.fromkeys(path.partition("/")[0] for path in remarks))
    for name in names:
        corner, line = ("└── ", "    ") if name == names[-1] else ("├── ", "│   ")
        start = f"{name}/"
        within = {x.removeprefix(start): y for x, y in remarks.items() if x.startswith(start)}
        lines.append(indent + corner + (start if within else name + remarks[name]))
        lines += _branches(within, indent + line)
    return lines
