"""Seeded splits of a class, and the files of selections."""

import json
from pathlib import Path

import pytest

from crossprompt.data.few_shot import Selection, split_class
from crossprompt.errors import RequestError


def counts(splits: list[str]) -> tuple[int, int, int]:
    return splits.count("train"), splits.count("val"), splits.count("test")


SHARES = {
    1: (1, 0, 0),
    2: (1, 0, 1),
    3: (2, 0, 1),
    5: (4, 0, 1),
    10: (6, 1, 3),
    16: (11, 1, 4),
    100: (60, 10, 30),
}


@pytest.mark.parametrize(("images", "expected"), SHARES.items())
def test_a_class_is_shared_out_with_training_and_test_images_first(
    images: int, expected: tuple[int, int, int]
) -> None:
    assert counts(split_class(images, "cat", seed=1, val=0.1, test=0.3)) == expected


def test_no_share_gives_no_images() -> None:
    assert counts(split_class(2, "cat", seed=1, val=0, test=0)) == (2, 0, 0)
    assert counts(split_class(3, "cat", seed=1, val=0, test=1)) == (0, 0, 3)
    assert counts(split_class(3, "cat", seed=1, val=1, test=0)) == (0, 3, 0)
    assert counts(split_class(3, "cat", seed=1, val=0.5, test=0.5)) == (0, 2, 1)


def test_large_shares_leave_an_image_to_train() -> None:
    assert counts(split_class(2, "cat", seed=1, val=0.5, test=0.49)) == (1, 0, 1)
    assert counts(split_class(3, "cat", seed=1, val=0.98, test=0.01)) == (1, 1, 1)


def test_a_split_is_the_same_on_every_machine() -> None:
    # computed here once, to notice any change: a user's split must stay what it was
    splits = split_class(8, "cat", seed=1, val=0.1, test=0.3)
    assert "".join(split[1] for split in splits) == "rrreerrr"


def test_a_split_depends_on_seed_and_class() -> None:
    draws = {
        tuple(split_class(30, name, seed, val=0.1, test=0.3))
        for name in ("cat", "dog")
        for seed in (1, 2)
    }
    assert len(draws) == 4


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
