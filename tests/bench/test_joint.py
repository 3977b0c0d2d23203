"""Data sets that are learned together in a grid."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossprompt.bench.grid import Grid
from crossprompt.bench.loaders import parts_of
from crossprompt.bench.method_spec import parse_method
from crossprompt.bench.report import build_report, read_results
from crossprompt.bench.task import attempt
from crossprompt.errors import RequestError
from crossprompt.training import tasks
from crossprompt.training.checkpoint import STATE, Checkpoint
from crossprompt.training.config import FitConfig
from crossprompt.training.multitask import MultiTaskConfig, fit_tasks
from tests.backbone import even_clip
from tests.bench.cells import a_cell, a_task
from tests.bench.report.lines import shown
from tests.cli.grids import read_lines
from tests.conftest import write_photos

CLASSES = {"pets": ("cat", "dogs"), "sky": ("balloon", "hot_air_balloon", "red")}
TRAINING = {"epochs": 2, "batch_size": 2}


@pytest.fixture(autouse=True)
def _short_comparison(monkeypatch) -> None:
    monkeypatch.setattr(tasks, "WARM_UP", 2)
    monkeypatch.setattr(tasks, "MEASURED", 2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("data")
    return [str(write_photos(folder / name, kinds, 6)) for name, kinds in CLASSES.items()]


def joint(folders: list[str], **changes: Any) -> Any:
    values = {"method": "mmap", "shots": 2, "options": {"length": 2}, "training": TRAINING}
    return a_cell(dataset="+".join(folders), **{**values, **changes})


@pytest.mark.slow
def test_a_joint_cell_is_what_fit_does_with_several_data_sets(folders, backbone, tmp_path) -> None:
    outcome = attempt(a_task(tmp_path, joint(folders)), lambda task: even_clip())
    assert outcome.error is None, outcome.details
    (line,) = outcome.lines
    one = FitConfig("", "mmap", backbone, 2, options={"length": 2}, training=TRAINING, dtype="fp32")
    fitted = fit_tasks(MultiTaskConfig(tuple(replace(one, data=folder) for folder in folders)))
    expected = {name: results["test"].to_json() for name, (_, results) in fitted.items()}
    assert [(x["name"], x["dataset"]) for x in line["results"]] == [
        ("test", folder) for folder in folders
    ]
    for result, folder in zip(line["results"], folders, strict=True):
        wanted = expected[Path(folder).name]
        for key in ("accuracy", "n", "per_class"):
            assert result[key] == wanted[key]
        assert result["ece"] == pytest.approx(wanted["ece"], abs=1e-5)
    assert line["cell"] == joint(folders).to_json()
    assert line["settings"]["method"]["group_length"] == 2
    assert sorted(x for group in line["settings"]["groups"] for x in group) == sorted(folders)
    assert len(line["data_fingerprint"].split("+")) == 2
    assert not list((tmp_path / "cells").iterdir())


@pytest.mark.slow
def test_a_joint_training_that_was_interrupted_goes_on_to_the_same_line(
    folders, tmp_path, monkeypatch
) -> None:
    def results(output: Path) -> Any:
        outcome = attempt(a_task(output, joint(folders)), lambda task: even_clip())
        assert outcome.error is None, outcome.details
        return outcome.lines[0]["results"]

    expected, save = results(tmp_path / "whole"), Checkpoint.save

    def stop(self: Checkpoint, reports: Any) -> None:
        save(self, reports)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        results(tmp_path)
    monkeypatch.setattr(Checkpoint, "save", save)
    assert (tmp_path / "cells" / joint(folders).digest / STATE).exists()
    assert results(tmp_path) == expected


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "coop"}, "coop"),
        ({"protocol": "base-to-new"}, "base-to-new"),
    ],
)
def test_what_learns_from_one_data_set_does_not_apply(folders, tmp_path, changes, told) -> None:
    outcome = attempt(a_task(tmp_path, joint(folders, **changes)), lambda task: even_clip())
    assert not outcome.applicable
    assert told in str(outcome.error)


def test_a_joint_source_is_no_target_and_names_each_data_set_once(tmp_path) -> None:
    assert parts_of("caltech101+dtd") == ("caltech101", "dtd")
    (tmp_path / "c++").mkdir()
    assert parts_of(str(tmp_path / "c++")) == (str(tmp_path / "c++"),)
    values: dict[str, Any] = {"methods": [parse_method("mmap")], "shots": [1], "seeds": [1]}
    cells = Grid(datasets=["a+b", "a", "b"], protocols=["cross-dataset"], **values).cells()
    assert [(cell.dataset, cell.targets) for cell in cells] == [
        ("a+b", ()),
        ("a", ("b",)),
        ("b", ("a",)),
    ]
    with pytest.raises(RequestError, match=r"a\+b\+a holds \['a'\] twice"):
        Grid(datasets=["a+b+a"], **values).cells()


@pytest.mark.slow
def test_a_grid_with_joint_sources_is_reported_beside_each_data_set(
    folders, backbone, tmp_path, capsys
) -> None:
    from crossprompt.cli import main

    both = "+".join(folders)
    words = ["bench", "--datasets", both, *folders, "--methods", "mmap:length=2", "zero_shot"]
    words += ["--backbones", backbone, "--shots", "1", "--seeds", "1", "2", "--epochs", "1"]
    words += ["--threads", "1", "--workers", "1", "--dtype", "fp32", "--output", str(tmp_path)]
    assert main(words) == 0
    assert (
        "10 cells computed, 0 finished before, 2 not applicable, 0 failed"
        in capsys.readouterr().out
    )
    lines = [x for x in read_lines(tmp_path).values() if x["cell"]["dataset"] == both]
    tables = {table.caption: table for table in build_report(read_results(tmp_path)).tables}
    for place, folder in enumerate(folders):
        rows = shown(tables[f"Few-shot accuracy (%), {folder}"])
        assert set(rows) == {"zero_shot", "mmap", f"mmap ({both} together)"}
        mean = 50 * sum(line["results"][place]["accuracy"] for line in lines)
        assert rows[f"mmap ({both} together)"][0].startswith(f"{mean:.2f} ± ")
    average = shown(tables["Few-shot accuracy (%), average"])
    assert all("±" in entry for row in average.values() for entry in row)
    listed = tables["Cells without a result"]
    assert [(row.label, row.entries[1]) for row in listed.rows] == [("zero_shot", both)]
