"""CSV files of images, and the line number in everything that is wrong with one."""

import shutil
from pathlib import Path

import pytest

from crossprompt.data import load_csv
from crossprompt.errors import RequestError


@pytest.fixture
def folder(write_images) -> Path:
    return write_images({"cat": 10, "dog": 10})


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "pets.csv"
    path.write_bytes(text.encode(encoding))
    return path


SPLITS = """path,label,split
dog/0.png,dog,train
cat/0.png,cat,train
cat/1.png,cat,val
dog/2.png,dog,test
cat/2.png,cat,test
"""


def test_splits_and_the_order_of_lines_are_kept(folder: Path) -> None:
    data = load_csv(write(folder, SPLITS))
    assert (data.name, data.class_names, data.notes) == ("pets", ("cat", "dog"), ())
    assert data.train.paths == (folder / "dog/0.png", folder / "cat/0.png")
    assert data.train.labels == (1, 0)
    assert (len(data.val), len(data.test)) == (1, 2)


def test_a_spreadsheet_s_file_is_read(folder: Path) -> None:
    text = ' Label ,PATH,price,split\r\nred_fox,"cat/0.png", 3,Train\r\n\r\n'
    text += "örn,dog/0.png,,validation\r\nörn,dog/1.png,,train\r\n"
    data = load_csv(write(folder, text, "utf-8-sig"))
    assert data.class_names == ("red fox", "örn")
    assert (len(data.train), len(data.val)) == (2, 1)
    assert "no test images" in data.notes[0]


def test_without_splits_classes_are_divided_as_folders_are(folder: Path) -> None:
    lines = [f"{name}/{number}.png,{name}" for name in ("cat", "dog") for number in range(10)]
    data = load_csv(write(folder, "\n".join(["path,label", *lines])))
    assert (len(data.train), len(data.val), len(data.test)) == (12, 2, 6)
    turned = load_csv(write(folder, "\n".join(["path,label", *reversed(lines)])))
    assert set(turned.test) == set(data.test)
    assert len(load_csv(folder / "pets.csv", val=0, test=1).test) == 20


def test_paths_can_be_relative_to_another_folder_or_absolute(folder: Path, tmp_path: Path) -> None:
    text = f"path,label,split\ncat/0.png,cat,train\n{folder / 'dog/0.png'},dog,train\n"
    assert len(load_csv(write(tmp_path, text), root=folder).train) == 2
    with pytest.raises(RequestError, match="line 2: "):
        load_csv(tmp_path / "pets.csv")
    with pytest.raises(RequestError, match="none"):
        load_csv(tmp_path / "pets.csv", root=folder / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "path and label"),
        ("file,label\n", "'file', 'label'"),
        ("path;label\na;b\n", "'path;label'"),
        ("path,label,path\n", "column path"),
        ("path,label\n", "no images"),
        ("path,label\n\ncat/0.png\n", "line 3: 1 fields"),
        ("path,label\ncat/0.png,cat,x\n", "line 2: 3 fields"),
        ("path,label\ncat/0.png, \n", "line 2: the label"),
        ("path,label\n,cat\n", "line 2: the path"),
        ("path,label\ncat,cat\n", "line 2: "),
        ("path,label,split\ncat/0.png,cat,dev\n", "'dev'"),
        ("path,label,split\ncat/0.png,cat,\n", "line 2: the split"),
        ("path,label\ncat/0.png,cat\ncat/0.png,dog\n", "line 3: 'cat/0.png' .* line 2"),
        ('path,label\n"cat/0.png,cat\n', "line 2: "),
        (
            "path,label\ncat/0.png,cat\ndog/0.png,Cat\n",
            "'Cat' and 'cat'",
        ),
        ("path,label\ncat/0.png,cat\ncat/1.png,cat\n", "one class, 'cat'"),
        (SPLITS.replace("dog/0.png,dog,train", ""), "'dog'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load_csv(write(folder, text))


def test_many_wrong_lines_are_listed_up_to_20(folder: Path) -> None:
    with pytest.raises(RequestError) as raised:
        load_csv(write(folder, "path,label\n" + "none.png,cat\n" * 23))
    first, *lines = str(raised.value).splitlines()
    assert first.startswith("23 lines of")
    assert (len(lines), lines[0][:9], lines[-1]) == (21, "  line 2:", "  and 3 more")


def test_a_file_of_another_encoding_is_refused_with_the_line(folder: Path) -> None:
    with pytest.raises(RequestError, match="UTF-8"):
        load_csv(write(folder, "path,label\ncat/0.png,Kätzchen\n", "latin-1"))


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"none\.csv"):
        load_csv(folder / "none.csv")


def test_a_copy_of_a_training_image_in_test_is_refused(folder: Path) -> None:
    shutil.copy(folder / "dog/0.png", folder / "dog/2.png")
    with pytest.raises(RequestError, match=r"dog/2\.png is .*dog/0\.png"):
        load_csv(write(folder, SPLITS))


def test_shares_that_would_be_ignored_are_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match="val="):
        load_csv(write(folder, SPLITS), val=0.1)


def test_class_names_can_be_given(folder: Path) -> None:
    data = load_csv(write(folder, SPLITS), class_names={"dog": "hound"})
    assert data.class_names == ("cat", "hound")
