"""Sources of images: each image has one prediction, in order, under its own name."""

import itertools
import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from crossprompt.data import list_images
from crossprompt.errors import RequestError
from crossprompt.inference.bulk import parquet as parquet_source
from crossprompt.inference.bulk.parquet import ParquetFile
from crossprompt.inference.bulk.run import open_inputs
from crossprompt.inference.bulk.tar import TarShard
from tests.inference.bulk.numbered import Reader, picture, write_files, write_tar


def answers(*words: str | Path, column: str | None = None) -> list[tuple[str, str]]:
    """Name and class, or error, of every image."""
    inputs = open_inputs([str(word) for word in words], column)
    found = list(Reader().predict_stream(inputs, 1, 4))
    assert inputs.count() in (None, len(found))
    return [(answer.path, answer.label or str(answer.error)) for answer in found]


def write_table(path: Path, column: Sequence[object], name: str = "image", rows: int = 4) -> str:
    parquet.write_table(pyarrow.table({"id": list(range(len(column))), name: column}), path, rows)
    return str(path)


def test_a_folder_is_walked_in_the_order_in_which_it_is_listed(tmp_path) -> None:
    names = ["b/1.png", "a.png", "a/2.png", "a/.x.png", "a-b/3.png", "é.png"]
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(number))
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    expected = [str(path) for path in list_images(tmp_path)]
    assert len(expected) == 5
    assert [name for name, _ in answers(tmp_path)] == expected


def test_a_folder_holds_the_names_of_one_branch_at_a_time(tmp_path, monkeypatch) -> None:
    for folder in "abc":
        write_files(tmp_path / folder, range(3))
    inputs = iter(open_inputs([str(tmp_path)]))
    listed = []
    original = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or original(path))
    for _ in itertools.islice(inputs, 4):
        pass
    assert [Path(path).name for path in listed] == [tmp_path.name, "a", "b"]


def test_a_csv_file_answers_every_line(tmp_path) -> None:
    (one, two) = write_files(tmp_path / "photos", [1, 2])
    table = tmp_path / "list.csv"
    lines = ["ID,Image", "1,photos/1.png", "", f"2,{two}", "3", "4,", '5,"a"b', "6,gone.png"]
    table.write_text("\n".join([*lines, "7, photos/2.png "]), "utf-8")
    found = answers(table)
    assert found[:2] == [("photos/1.png", "1"), (two, "2")]
    assert found[2][0] == f"{table}#5"
    assert "1 fields, expected 2" in found[2][1]
    assert found[3][0] == f"{table}#6"
    assert found[4][0] == f"{table}#7"
    assert found[5:] == [("gone.png", "no such file"), ("photos/2.png", "2")]
    assert Path(one).exists()


def test_the_column_of_a_csv_file_is_found_or_named(tmp_path) -> None:
    write_files(tmp_path, [1, 2])
    table = tmp_path / "list.csv"
    table.write_text("file,path,mine\n1.png,2.png,1.png\n", "utf-8")
    assert answers(table) == [("2.png", "2")]
    assert answers(table, column="Mine") == [("1.png", "1")]
    with pytest.raises(RequestError, match=r"'yours'.*--column"):
        answers(table, column="yours")
    table.write_text("url\n1.png\n", "utf-8")
    with pytest.raises(RequestError, match=r"list\.csv.*url.*--column"):
        answers(table)
    table.write_text("path,path\n1.png,1.png\n", "utf-8")
    with pytest.raises(RequestError, match="'path'"):
        answers(table)
    with pytest.raises(RequestError, match="--column x"):
        answers(tmp_path / "1.png", column="x")


def test_parquet_files_list_images_or_hold_them(tmp_path) -> None:
    write_files(tmp_path, range(10))
    paths = write_table(tmp_path / "paths.parquet", [*(f"{i}.png" for i in range(9)), None], "path")
    assert answers(paths)[:9] == [(f"{i}.png", str(i)) for i in range(9)]
    assert answers(paths)[9][0] == f"{paths}#9"
    held = write_table(tmp_path / "held.parquet", [*map(picture, range(9)), None])
    rows = [(f"{held}#{i}", str(i)) for i in range(9)]
    assert answers(held) == [*rows, (f"{held}#9", "the row holds no image")]
    cells = [{"bytes": picture(0), "path": "x.png"}, {"bytes": None, "path": "1.png"}, None]
    both = write_table(tmp_path / "both.parquet", [*cells, {"bytes": b"no image", "path": None}])
    assert [label for _, label in answers(both)[:3]] == ["0", "1", "the row holds no image"]
    assert "not an image" in answers(both)[3][1]


def test_a_parquet_file_without_images_is_refused(tmp_path) -> None:
    with pytest.raises(RequestError, match=r"'image'.*int64"):
        answers(write_table(tmp_path / "a.parquet", [1, 2]))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(RequestError, match=r"b\.parquet"):
        answers(tmp_path / "b.parquet")


def test_each_row_group_is_read_once_and_few_are_held(tmp_path, monkeypatch) -> None:
    held = write_table(tmp_path / "held.parquet", [picture(i) for i in range(100)], rows=10)
    recent = parquet_source._recent_row_group
    before = recent.cache_info()
    assert len(list(Reader().predict_stream(ParquetFile(held), 1, 4))) == 100
    assert recent.cache_info().misses - before.misses == 10
    assert recent.cache_info().currsize <= 2


def test_a_shard_answers_every_key(tmp_path) -> None:
    members = {f"train/{i}.png": picture(i) for i in range(3)}
    members |= {"train/3.json": b"{}", "train/3.jpg": picture(3), "train/3.cls": b"1"}
    members |= {"4.left.png": picture(4), "4.right.png": picture(5), "5.txt": b"", "6.png": b"bad"}
    shard = write_tar(tmp_path / "a.tar", members)
    found = dict(answers(shard))
    assert list(found) == [f"{shard}#{key}" for key in (*(f"train/{i}" for i in range(4)), *"456")]
    assert list(found.values())[:4] == ["0", "1", "2", "3"]
    assert ".left.png, .right.png; say which with --column" in found[f"{shard}#4"]
    assert ".txt" in found[f"{shard}#5"]
    assert "not an image" in found[f"{shard}#6"]
    assert dict(answers(shard, column=".right.png"))[f"{shard}#4"] == "5"


def test_braces_stand_for_many_shards(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        write_tar(tmp_path / f"s-{number:03d}.tar", {f"{number}.png": picture(number)})
    found = answers("s-{000..011}.tar")
    assert found == [(f"s-{i:03d}.tar#{i}", str(i)) for i in range(12)]
    with pytest.raises(RequestError, match=r"s-012\.tar"):
        answers("s-{000..012}.tar")


@pytest.mark.parametrize(("damage", "readable"), [("cut", 1), ("header", 2)])
def test_a_damaged_shard_says_where_it_ends(tmp_path, damage, readable) -> None:
    shard = write_tar(tmp_path / "a.tar", {f"{i}.png": picture(i) for i in range(4)})
    content = bytearray(Path(shard).read_bytes())
    if damage == "cut":
        content = content[: 2 * tarfile.BLOCKSIZE + tarfile.BLOCKSIZE + 20]
    else:
        content[4 * tarfile.BLOCKSIZE + 100] ^= 255  # the third member's
    Path(shard).write_bytes(content)
    found = answers(shard)
    assert found[:readable] == [(f"{shard}#{i}", str(i)) for i in range(readable)]
    assert found[-1][0] == f"{shard}#after 2 keys"
    assert "damaged" in found[-1][1]
    assert len(found) == 3
    if damage == "cut":
        assert "20 of" in found[1][1]


def test_no_member_of_a_shard_is_kept(tmp_path, monkeypatch) -> None:
    shard = write_tar(tmp_path / "a.tar", {f"{i}.png": picture(i) for i in range(50)})
    archives, original = [], tarfile.open
    monkeypatch.setattr(
        tarfile, "open", lambda *a, **k: archives.append(original(*a, **k)) or archives[-1]
    )
    for _ in TarShard(shard):
        assert len(archives[-1].members) <= 1


def test_a_file_that_is_no_plain_tar_file_is_refused(tmp_path) -> None:
    (tmp_path / "a.tar").write_bytes(b"x" * 2000)
    with pytest.raises(RequestError, match=r"a\.tar"):
        answers(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("word", "package"), [("a.parquet", "pyarrow"), ("{a,b}.tar", "braceexpand")]
)
def test_a_missing_package_is_an_error_that_names_it(tmp_path, monkeypatch, word, package) -> None:
    (tmp_path / "a.parquet").touch()
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"{package}.*crossprompt\[bulk\]"
    with pytest.raises(RequestError, match=message):
        open_inputs([str(tmp_path / word)])
