"""Data sets by name and by path."""

from dataclasses import replace
from pathlib import Path

import pytest

from crossprompt.data import DATASETS, Dataset, load_csv, load_dataset, load_folder
from crossprompt.errors import RequestError


@pytest.fixture
def folder(write_images) -> Path:
    return write_images({"cat": 4, "dog": 4})


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder.parent / "pets.csv"
    path.write_text("path,label\nphotos/cat/0.png,cat\nphotos/dog/0.png,dog\n")
    return path


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSSPROMPT_DATA", raising=False)


def test_a_folder_is_loaded_by_name_or_path(folder: Path) -> None:
    expected = load_folder(folder, seed=2)
    assert load_dataset("folder", root=folder, seed=2) == expected
    assert load_dataset(str(folder), seed=2) == expected
    assert load_dataset(folder, seed=2) == expected


def test_a_csv_file_is_loaded_by_name_or_path(table: Path) -> None:
    assert load_dataset(table) == load_csv(table)
    assert load_dataset("csv", path=table, seed=1) == load_csv(table)
    with pytest.raises(RequestError, match="2 lines"):
        load_dataset(table, root=table.parent / "photos")


def test_the_variable_stands_in_for_root_but_not_for_a_path(
    folder: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match=r"folder.*\broot"):
        load_dataset("folder")
    monkeypatch.setenv("CROSSPROMPT_DATA", str(folder))
    assert load_dataset("folder") == load_folder(folder)
    assert load_dataset(folder, seed=2) == load_folder(folder, seed=2)
    assert load_dataset("csv", path=table) == load_csv(table)


def test_emoji_takes_its_folder_from_root_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    expected = Dataset("emoji", ("animal", "plant"))

    def load_emoji(root: object = None) -> Dataset:
        asked.append(root)
        return expected

    monkeypatch.setitem(DATASETS, "emoji", replace(DATASETS["emoji"], loader=load_emoji))
    assert load_dataset("emoji") is expected
    monkeypatch.setenv("CROSSPROMPT_DATA", "art")
    load_dataset("emoji")
    load_dataset("emoji", root="mine")
    assert asked == [None, None, "mine"]


def test_an_unknown_name_gets_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"'emojy' .*'emoji'"):
        load_dataset("emojy")
    with pytest.raises(RequestError, match=r"none\.csv'.* emoji"):
        load_dataset(tmp_path / "none.csv")
    with pytest.raises(RequestError, match="'nofolder'"):
        load_dataset("nofolder")


def test_a_misspelt_folder_or_file_is_answered_with_the_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "labels.csv").touch()
    for name, meant in (("phots", "photos"), ("label.csv", "labels.csv")):
        with pytest.raises(RequestError, match=rf"did you mean '\S*{meant}'"):
            load_dataset(tmp_path / name)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    with pytest.raises(RequestError, match=r"a\.zip"):
        load_dataset(tmp_path / "a.zip")


def test_a_name_is_no_folder_of_that_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.parent / "csv")
    monkeypatch.chdir(folder.parent)
    assert load_dataset("./csv").class_names == ("cat", "dog")
    with pytest.raises(RequestError, match=r"csv.*\bpath"):
        load_dataset("csv")


def test_options_that_are_unknown_or_would_be_ignored_are_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"'sead'.*'seed'"):
        load_dataset(folder, sead=1)
    with pytest.raises(RequestError, match="root="):
        load_dataset(folder, root=folder)
