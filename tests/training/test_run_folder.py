"""The folder of a run."""

import json
from pathlib import Path

import pytest

from crossprompt import Dataset
from crossprompt.data.dataset import Item, Split
from crossprompt.errors import RequestError
from crossprompt.training.config import FitConfig
from crossprompt.training.fit import RUN, SELECTION, open_run, read_run

DATA = Dataset("x", ("a", "b"), Split((Item(Path("a"), 0), Item(Path("b"), 1)))).few_shot(1)
SETTINGS = {"seed": 1, "config": {"words": ("a", "b")}}


def begun(path: Path) -> Path:
    open_run(path).begin(FitConfig("x"), SETTINGS, DATA)
    return path


def test_a_run_can_be_read_again(tmp_path) -> None:
    assert not open_run(begun(tmp_path / "run"), resume=True).begin(FitConfig("x"), SETTINGS, DATA)
    run = read_run(tmp_path / "run")
    assert run.settings == {"seed": 1, "config": {"words": ["a", "b"]}}
    assert run.job["data"] == "x"
    assert DATA.load_selection(tmp_path / "run" / SELECTION) is not None


def test_many_differences_are_counted(tmp_path) -> None:
    begun(tmp_path)
    many = {"seed": 1, "config": {f"setting {number}": 1 for number in range(30)}}
    with pytest.raises(RequestError, match=r"setting 7 null, now 1; .*and 21 more"):
        open_run(tmp_path, resume=True).begin(FitConfig("x"), many, DATA)


def test_a_record_with_other_keys_is_of_another_version(tmp_path) -> None:
    begun(tmp_path)
    with pytest.raises(RequestError, match=r"another version.*--overwrite"):
        open_run(tmp_path, resume=True).begin(FitConfig("x"), {**SETTINGS, "new": 1}, DATA)


def test_other_versions_are_told_but_no_obstacle(tmp_path) -> None:
    begun(tmp_path)
    run = json.loads((tmp_path / RUN).read_text())
    run["versions"]["torch"] = "1.0"
    (tmp_path / RUN).write_text(json.dumps(run))
    (note,) = open_run(tmp_path, resume=True).begin(FitConfig("x"), SETTINGS, DATA)
    assert 'torch "1.0", now' in note


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": {}}', '{"job": 1, "versions": 2}'])
def test_a_damaged_run_is_a_clear_error(tmp_path, text) -> None:
    (tmp_path / RUN).write_text(text)
    with pytest.raises(RequestError, match=r"run\.json is damaged"):
        open_run(tmp_path, resume=True).begin(FitConfig("x"), SETTINGS, DATA)


def test_a_classifier_is_not_taken_for_a_run(tmp_path) -> None:
    (tmp_path / "classifier.json").write_text("{}")
    with pytest.raises(RequestError, match="--overwrite"):
        open_run(tmp_path)
    with pytest.raises(RequestError, match=RUN):
        open_run(tmp_path, resume=True)
    assert not open_run(tmp_path, overwrite=True).resumes
    assert (tmp_path / "classifier.json").exists()  # until the new run begins


def test_a_file_is_no_run_folder(tmp_path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RequestError, match=str(tmp_path / "run")):
        open_run(tmp_path / "run")


def test_other_files_in_the_folder_stay(tmp_path) -> None:
    (tmp_path / "notes.txt").touch()
    open_run(begun(tmp_path), overwrite=True).begin(FitConfig("y"), SETTINGS, DATA)
    assert (tmp_path / "notes.txt").exists()
    assert read_run(tmp_path).job["data"] == "y"
