"""Hashes of files, and folders to write in."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from crossprompt.errors import RequestError
from crossprompt.utils import files
from crossprompt.utils.files import ensure_writable, hash_file


@pytest.mark.parametrize("size", [0, 1, 10**6])
def test_a_file_has_the_hash_of_its_bytes(size: int, tmp_path: Path) -> None:
    data = bytes(size)
    (tmp_path / "file").write_bytes(data)
    assert hash_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()
    assert hash_file(tmp_path / "file", b"[1]") == hashlib.sha256(b"[1]" + data).hexdigest()


def test_a_folder_is_made_with_those_above_it_and_left_empty(tmp_path: Path) -> None:
    ensure_writable(tmp_path / "a" / "b")
    ensure_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(RequestError, match=str(tmp_path / "file")):
            ensure_writable(folder)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_that_takes_no_files_is_refused(tmp_path: Path, monkeypatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "TemporaryFile", refuse)  # whoever is root may write anywhere
    with pytest.raises(RequestError, match="Permission denied"):
        ensure_writable(tmp_path)
