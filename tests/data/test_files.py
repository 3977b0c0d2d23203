"""Files that are copies of others."""

from pathlib import Path

import pytest

from crossprompt.data import files
from crossprompt.data.files import find_equal


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    contents = {"a": b"1", "copy of a": b"1", "same size": b"2", "longer": b"12", "none": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def test_equal_files_are_grouped(paths: dict[str, Path], tmp_path: Path) -> None:
    assert find_equal([*paths.values(), tmp_path / "missing", tmp_path]) == [
        [paths["a"], paths["copy of a"]]
    ]


def test_a_file_of_a_size_of_its_own_is_not_read(
    paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(files, "hash_file", lambda path: read.append(path))
    find_equal(paths.values())
    assert paths["longer"] not in read
