"""``crossprompt reproduce``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossprompt.bench import studies
from crossprompt.bench.method_spec import parse_method
from crossprompt.bench.results import LINES
from crossprompt.cli import main
from crossprompt.clip.load import save_clip
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from tests.backbone import with_blocks
from tests.clip.random_clip import make_clip
from tests.data.fake_benchmarks import FAKES


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("backbone")
    narrow = with_blocks(2)  # with room for the longest of ImageNet's names
    save_clip(make_clip(replace(narrow, text=replace(narrow.text, context=48))), folder)
    return str(folder)


def test_a_dry_run_lists_the_cells_and_needs_no_data(backbone: str, tmp_path: Path, capsys) -> None:
    arguments = ["reproduce", "dcp", "--datasets", "eurosat", "--backbone", backbone]
    assert main([*arguments, "--dry-run", "--json", "--output", str(tmp_path)]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert len(cells) == 30
    assert {entry["cell"]["dataset"] for entry in cells} == {"eurosat"}


def test_data_that_is_not_as_published_is_an_error_before_any_work(
    backbone: str, tmp_path: Path, capsys
) -> None:
    FAKES["eurosat"](tmp_path)
    arguments = ["reproduce", "dcp", "--datasets", "eurosat", "dtd", "--backbone", backbone]
    assert main([*arguments, "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "2 data sets" in error
    assert "\n  eurosat: " in error
    assert "\n  dtd: " in error
    assert main([*arguments, "--data", str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "nothing") in error
    assert "--data" in error


@pytest.fixture
def small(monkeypatch) -> None:
    """A study of one epoch, of two numbers of shots, with one seed."""
    changes = {"methods": [parse_method("dcp:length=2,epochs=1")], "seeds": [1]}
    grids = [
        replace(grid, shots=[shots for shots in grid.shots if shots in (1, 16)], **changes)
        for grid in studies.STUDIES["dcp"].grids
    ]
    monkeypatch.setitem(studies.STUDIES, "dcp", studies.Study("DCP", tuple(grids)))


def lines_in(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / LINES).read_text("utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_the_study_runs_and_goes_on(backbone: str, tmp_path: Path, capsys) -> None:
    data, output = tmp_path / "data", tmp_path / "results"
    FAKES["dtd"](data)
    arguments = ["reproduce", "dcp", "--datasets", "dtd", "--backbone", backbone, "--unchecked"]
    arguments += ["--data", str(data), "--output", str(output)]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["computed"] == 4
    assert {line["cell"]["dataset"] for line in lines_in(output)} == {"dtd"}
    assert {line["cell"]["shots"] for line in lines_in(output)} == {1, 16}
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished_before"] == 4


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_imagenet_is_tested_on_its_shifted_sets_at_sixteen_shots(
    backbone: str, tmp_path: Path
) -> None:
    data, output = tmp_path / "data", tmp_path / "results"
    for name in ("imagenet", *BENCHMARKS["imagenet"].shifted):
        FAKES[name](data)
    arguments = [
        "reproduce",
        "dcp",
        "--datasets",
        "imagenet",
        "--backbone",
        backbone,
        "--unchecked",
    ]
    assert main([*arguments, "--data", str(data), "--output", str(output)]) == 0
    found = {line["cell"]["shots"]: line for line in lines_in(output)}
    assert [result["name"] for result in found[1]["results"]] == ["test"]
    names = [result["name"] for result in found[16]["results"]]
    assert set(names) == {"test", *BENCHMARKS["imagenet"].shifted}
