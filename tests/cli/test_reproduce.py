"""``crossprompt reproduce``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossprompt.bench.results import LINES
from crossprompt.bench.studies import study
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


def test_an_estimate_needs_no_data(backbone: str, capsys) -> None:
    words = ["reproduce", "dcp", "--estimate", "--datasets", "eurosat", "--backbone", backbone]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cells"] == 30
    assert [row["dataset"] for row in found["datasets"]] == ["eurosat"]
    assert found["total"]["hours"] == round(found["datasets"][0]["hours"], 1)
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "eurosat" in shown
    assert "hours on this machine" in shown
    assert "Reading images from disk is not in the estimate." in shown


def test_data_that_is_not_as_published_is_told_before_any_work(
    backbone: str, tmp_path: Path, capsys
) -> None:
    FAKES["eurosat"](tmp_path)
    words = ["reproduce", "dcp", "--datasets", "eurosat", "dtd", "--backbone", backbone]
    assert main([*words, "--data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "2 data sets are not as published" in told
    assert "\n  eurosat: " in told
    assert "\n  dtd: " in told
    assert main([*words, "--data", str(tmp_path / "nothing")]) == 2
    told = capsys.readouterr().err
    assert "nothing is no folder; give the folder that holds the data sets' folders with" in told


@pytest.fixture
def small(monkeypatch) -> None:
    """A study of one epoch, of two numbers of shots, with one seed."""
    assert (study.SHOTS, study.SEEDS, study.MOST) == ((1, 2, 4, 8, 16), (1, 2, 3), 16)
    monkeypatch.setattr(study, "SHOTS", (1, 16))
    monkeypatch.setattr(study, "SEEDS", (1,))
    small = study.Study("dcp", "DCP", ("dcp:length=2,epochs=1",))
    monkeypatch.setitem(study.STUDIES, "dcp", small)


def lines_in(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / LINES).read_text("utf-8").splitlines()]


@pytest.mark.usefixtures("small")
def test_the_study_runs_and_goes_on(backbone: str, tmp_path: Path, capsys) -> None:
    data, output = tmp_path / "data", tmp_path / "results"
    FAKES["dtd"](data)
    words = ["reproduce", "dcp", "--datasets", "dtd", "--backbone", backbone, "--unchecked"]
    words += ["--data", str(data), "--output", str(output)]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["computed"] == 4
    assert {line["cell"]["dataset"] for line in lines_in(output)} == {"dtd"}
    assert {line["cell"]["shots"] for line in lines_in(output)} == {1, 16}
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished_before"] == 4
    assert main([*words, "--estimate"]) == 0
    shown = capsys.readouterr().out
    assert shown == f"DCP: 4 results, of which 4 are finished in {output}.\n"


@pytest.mark.usefixtures("small")
def test_a_run_is_listed_and_estimated_first_and_imagenet_is_tested_on_its_shifted_sets(
    backbone: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    data, output = tmp_path / "data", tmp_path / "results"
    for name in ("imagenet", *BENCHMARKS["imagenet"].shifted):
        FAKES[name](data)
    words = ["reproduce", "dcp", "--datasets", "imagenet", "--backbone", backbone, "--unchecked"]
    assert main([*words, "--data", str(data), "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    listed, _, ran = shown.partition("Reading images from disk is not in the estimate.\n")
    assert "hours on this machine, one training at a time" in listed
    assert [line.split("│")[1].strip() for line in listed.splitlines() if "│ i" in line] == [
        "imagenet",
        "imagenet, shifted",
    ]
    assert ran.startswith("4 cells computed")
    found = {line["cell"]["shots"]: line for line in lines_in(output)}
    assert [result["name"] for result in found[1]["results"]] == ["test"]
    names = [result["name"] for result in found[16]["results"]]
    assert set(names) == {"test", *BENCHMARKS["imagenet"].shifted}


def test_what_a_cluster_will_run_is_listed_and_not_estimated_here(
    backbone: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("crossprompt.cli.reproduce.run_cells", lambda *_: 0)
    FAKES["dtd"](tmp_path)
    words = ["reproduce", "dcp", "--datasets", "dtd", "--backbone", backbone, "--unchecked"]
    assert main([*words, "--data", str(tmp_path), "--engine", "ray"]) == 0
    shown = capsys.readouterr().out
    assert "dtd" in shown
    assert "hours" not in shown
