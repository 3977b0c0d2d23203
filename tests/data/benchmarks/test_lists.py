"""CoOp's split files, and what is said of one that is damaged."""

import json
from pathlib import Path

import pytest

from crossprompt.data import Split, load_dataset
from crossprompt.data.benchmarks.lists import read_split_file
from crossprompt.errors import RequestError
from tests.data.fake_benchmarks import FAKES

ROW = ["a/1.jpg", 0, "a"]


def file(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "split.json"
    path.write_text(content)
    return path


def test_rows_are_read_in_their_order(tmp_path: Path) -> None:
    rows = [["b/1.jpg", 1, "b"], ROW]
    content = json.dumps({"train": rows, "val": [], "test": [ROW]})
    found = read_split_file(file(tmp_path, content), tmp_path)
    assert found.class_names == ("a", "b")
    assert found.train == Split.of([tmp_path / "b/1.jpg", tmp_path / "a/1.jpg"], [1, 0])
    assert (len(found.val), len(found.test)) == (0, 1)


@pytest.mark.parametrize(
    "content",
    [
        '{"train": [',
        "[]",
        '{"train": [], "val": []}',
        '{"train": [["a.jpg", "0", "a"]], "val": [], "test": []}',
        '{"train": [["a.jpg", -1, "a"]], "val": [], "test": []}',
        '{"train": ["a.jpg"], "val": [], "test": []}',
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    with pytest.raises(RequestError, match=r"split\.json"):
        read_split_file(file(tmp_path, content), tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["banded/9.jpg", 0, "other"], "label 0 .*'banded' and 'other'"),
        (["banded/9.jpg", 3, "other"], "label 2"),
    ],
)
def test_labels_and_names_have_to_agree(tmp_path: Path, row: list[object], message: str) -> None:
    FAKES["dtd"](tmp_path)
    path = tmp_path / "dtd/split_zhou_DescribableTextures.json"
    content = json.loads(path.read_text())
    content["test"].append(row)
    path.write_text(json.dumps(content))
    with pytest.raises(RequestError, match=message):
        load_dataset("dtd", root=tmp_path)


def test_a_file_of_no_images_is_told(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    path = tmp_path / "dtd/split_zhou_DescribableTextures.json"
    path.write_text('{"train": [], "val": [], "test": []}')
    with pytest.raises(RequestError, match="label 0"):
        load_dataset("dtd", root=tmp_path)
