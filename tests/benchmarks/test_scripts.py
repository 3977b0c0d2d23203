"""Every script runs on narrow towers, and the report reads its output."""

import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    bulk,
    cocoop,
    compiled,
    data_loading,
    document,
    inference,
    memory,
    report,
    saving,
    serving,
    step_time,
)

NARROW = ["--backbone", "narrow", "--classes", "20"]
ONCE = ["--repeats", "1"]
SCRIPTS: dict[str, tuple[Any, list[str]]] = {
    "step_time": (step_time, [*NARROW, *ONCE]),
    "memory": (memory, [*NARROW, "--dtypes", "bf16"]),
    "saving": (saving, [*NARROW, *ONCE, "--dtypes", "fp32", "--levels", "0", "4"]),
    "inference": (inference, [*NARROW, *ONCE, "--batch-size", "2"]),
    "cocoop": (cocoop, [*NARROW, *ONCE, "--dtypes", "fp32", "--batch-size", "2"]),
    "bulk": (bulk, ["--images", "30"]),
    "serving": (
        serving,
        ["--backbone", "narrow", "--pictures", "5", "--requests", "4", "--garbage-mb", "1", *ONCE],
    ),
    "data_loading": (data_loading, ["--backbone", "narrow", "--pictures", "3", *ONCE]),
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("documents")
    paths = {name: folder / f"{name}.json" for name in SCRIPTS}
    for name, (module, arguments) in SCRIPTS.items():
        with paths[name].open("w", encoding="utf-8") as file, redirect_stdout(file):
            module.main([*arguments, "--json"])
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_one_json_document_and_a_table(
    name: str, documents: dict[str, Path]
) -> None:
    found = json.loads(documents[name].read_text("utf-8"))
    assert found["benchmark"] == name
    assert found["machine"]["cores"] >= 1
    lines = [line for line in SCRIPTS[name][0].table(found).splitlines() if line.startswith("|")]
    assert len(lines) > 2
    assert len({len(line) for line in lines}) == 1


@pytest.mark.slow
def test_the_report_replaces_only_its_tables(documents: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "performance.md"
    output.write_text("Before.\n<!-- memory -->\nold\n<!-- /memory -->\nAfter.\n", "utf-8")
    arguments = [*map(str, documents.values()), "--output", str(output)]
    report.main(arguments)
    once = output.read_text("utf-8")
    assert once.startswith("Before.\n<!-- memory -->\n`python -m benchmarks.memory")
    assert "old" not in once
    assert "After.\n" in once
    assert (tmp_path / "performance.png").stat().st_size > 10_000
    report.main(arguments)
    assert output.read_text("utf-8") == once


def test_a_table_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="without <!-- /memory -->"):
        document.insert("<!-- memory -->", "memory", "a table")


@pytest.mark.slow
def test_no_text_is_encoded_after_freezing(documents: dict[str, Path]) -> None:
    (row,) = json.loads(documents["inference"].read_text("utf-8"))["rows"]
    assert row["text_encodings_after_freezing"] == {"fp32": 0, "bf16": 0}


def test_compiled_steps_are_shown_next_to_the_eager_step() -> None:
    """Made-up numbers: compiling takes a minute, and a compiler."""
    seconds = {"as it is": 2.0, "MLPs": 1.5, "blocks": 2.5}
    row = {"case": "100", "dtype": "bf16", "seconds": seconds}
    row |= {"compiling": {"MLPs": 20.4, "blocks": 40.6}}
    last = compiled.table({"rows": [row]}).splitlines()[-1]
    cells = [cell.strip() for cell in last.strip("|").split("|")]
    assert cells == ["100", "bf16", "2.00", "1.50", "0.75", "20", "2.50", "1.25", "41"]
