"""The report of ``docs/results``, cell by cell, against a slow computation in plain Python."""

import gzip
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from benchmarks import comparison
from crossprompt.bench.report import build_report, read_results
from crossprompt.bench.report.tables import Table
from tests.bench.report.lines import shown

DOCS = Path(__file__).parents[3] / "docs"
SHIFTED = ["openmoji", "line-art"]
Seeds = dict[int, float]


def text(seeds: Seeds) -> str:
    values = list(seeds.values())
    return f"{100 * mean(values):.2f} ± {100 * stdev(values):.2f}"


def expected(lines: list[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Caption to row to cells; every cell of these grids has three seeds."""
    scores: dict[tuple[str, int, str], Seeds] = defaultdict(dict)
    classes: dict[tuple[str, str, str], Seeds] = defaultdict(dict)
    for line in lines:
        cell = line["cell"]
        for result in line["results"]:
            where = (cell["method"], cell["shots"], result["name"])
            scores[where][cell["seed"]] = result["accuracy"]
            for name, share in result["per_class"].items() if cell["shots"] == 8 else ():
                classes[result["name"], name, cell["method"]][cell["seed"]] = share
    methods = list(dict.fromkeys(method for method, _, _ in scores))
    tables: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for method in methods:
        few = [text(scores[method, shots, "test"]) for shots in (1, 2, 4, 8)]
        tables["Few-shot accuracy (%), emoji"][method] = few
        for shots in (1, 2, 4, 8):
            sets = [scores[method, shots, name] for name in ("test", *SHIFTED)]
            average = {seed: mean(found[seed] for found in sets[1:]) for seed in sets[0]}
            plural = "" if shots == 1 else "s"
            caption = f"Shifted test sets (%), trained on emoji, {shots} shot{plural}"
            tables[caption][method] = [text(seeds) for seeds in (*sets, average)]
    for test, name, method in classes:
        caption = f"Accuracy of every class (%), few-shot on emoji, 8 shots, {test} images"
        tables[caption].setdefault(name, []).append(f"{method} {text(classes[test, name, method])}")
    return tables


def with_methods(table: Table) -> dict[str, list[str]]:
    """Cells of a table of classes, whose columns are methods, each after its method."""
    return {
        label: [f"{method} {cell}" for method, cell in zip(table.header[1:], row, strict=True)]
        for label, row in shown(table).items()
    }


def unpack(name: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    packed = (DOCS / "results" / f"{name}.jsonl.gz").read_bytes()
    (folder / "lines.jsonl").write_bytes(gzip.decompress(packed))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["common", "published"])
def test_every_cell_is_what_the_lines_say(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name)
    lines = [json.loads(line) for line in (folder / "lines.jsonl").read_text("utf-8").splitlines()]
    wanted = expected(lines)
    tables = {table.caption: table for table in build_report(read_results(folder)).tables}
    assert set(tables) == set(wanted)
    for caption, table in tables.items():
        if table.header[0] == "class":
            found = {row: sorted(cells) for row, cells in with_methods(table).items()}
            assert found == {row: sorted(cells) for row, cells in wanted[caption].items()}
        else:
            assert shown(table) == wanted[caption]


@pytest.mark.slow
def test_the_comparison_in_the_documentation_is_that_of_its_results(tmp_path: Path) -> None:
    page = (DOCS / "comparison.md").read_text("utf-8")
    output = tmp_path / "comparison.md"
    output.write_text(page, "utf-8")
    folders = [unpack(name, tmp_path / name) for name in ("published", "common")]
    comparison.main([*map(str, folders), "--output", str(output)])
    assert output.read_text("utf-8") == page
