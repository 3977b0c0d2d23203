"""Selections in JSON files: read back exactly, and refused when they are something else."""

import json
from pathlib import Path

import pytest

from crossprompt.data.few_shot import Selection
from crossprompt.errors import RequestError

SELECTION = Selection("ab12", shots=2, seed=1, nested=False, train=(3, 1), val=(0,))


def saved(folder: Path, **changes: object) -> Path:
    path = folder / "selection.json"
    SELECTION.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_a_selection_is_read_back_exactly(tmp_path: Path) -> None:
    assert Selection.load(saved(tmp_path)) == SELECTION


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"version": 2},
        {"train": [1, -1]},
        {"val": ["0"]},
        {"seed": True},
        {"shots": "2"},
    ],
)
def test_a_selection_with_a_wrong_value_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(RequestError, match=next(iter(changes))):
        Selection.load(saved(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b"\xff\xfe", b"{"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "selection.json"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"selection\.json"):
        Selection.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none\.json"):
        Selection.load(tmp_path / "none.json")
