import hashlib
from pathlib import Path

import pytest

from crossprompt.utils import files as hashing
from crossprompt.utils.files import hash_file


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100])
def test_a_file_read_in_pieces_has_the_hash_of_its_bytes(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "PIECE", 8)
    data = bytes(range(size))
    (tmp_path / "file").write_bytes(data)
    assert hash_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()
    assert hash_file(tmp_path / "file", b"[1]") == hashlib.sha256(b"[1]" + data).hexdigest()
