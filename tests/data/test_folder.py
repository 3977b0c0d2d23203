"""Folders of images: every layout that is taken, and a clear word about every one that is not."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from crossprompt.data import Dataset, Split, load_folder
from crossprompt.data import folder as reading
from crossprompt.data.folder import find_equal
from crossprompt.errors import RequestError


def names(dataset: Dataset, split: Split) -> list[str]:
    assert dataset.root is not None
    return [path.relative_to(dataset.root).as_posix() for path in split.paths]


def per_class(split: Split) -> list[int]:
    return [count for _, count in sorted(Counter(split.labels).items())]


def test_train_val_and_test_folders_are_the_splits(write_images) -> None:
    root = write_images(
        {f"{split}/{name}": 2 for split in ("train", "val", "test") for name in ("dog", "cat")}
    )
    data = load_folder(root)
    assert data.name == "photos"
    assert data.class_names == ("cat", "dog")
    assert names(data, data.train) == [
        f"train/{x}.png" for x in ("cat/0", "cat/1", "dog/0", "dog/1")
    ]
    assert names(data, data.val)[0] == "val/cat/0.png"
    assert data.test.labels == (0, 0, 1, 1)
    assert data.notes == ()


def test_splits_may_be_called_as_other_programs_do(write_images) -> None:
    data = load_folder(write_images({"Train/a": 1, "Train/b": 1, "valid/a": 1, "valid/b": 1}))
    assert (len(data.train), len(data.val), len(data.test)) == (2, 2, 0)


def test_train_alone_is_enough_and_a_note_says_what_is_missing(write_images) -> None:
    data = load_folder(write_images({"train/a": 1, "train/b": 1}))
    assert len(data.train) == 2
    assert "no test images" in data.notes[0]


def test_test_alone_is_enough_even_of_one_class(write_images) -> None:
    data = load_folder(write_images({"test/a": 2}))
    assert (len(data.train), len(data.test), data.notes) == (0, 2, ())


def test_class_folders_are_divided_with_a_seed(write_images) -> None:
    root = write_images({"cat": 10, "dog": 20, "owl": 1})
    data = load_folder(root, seed=1)
    assert per_class(data.train) == [6, 12, 1]
    assert per_class(data.val) == [1, 2]
    assert per_class(data.test) == [3, 6]
    assert len({*data.train.paths, *data.val.paths, *data.test.paths}) == 31
    assert load_folder(root, seed=1) == data
    assert load_folder(root, seed=2).train != data.train
    assert data.notes == ("no test images, so no test accuracy, of the class 'owl'",)


def test_another_class_leaves_the_division_of_the_others_as_it_was(write_images) -> None:
    root = write_images({"cat": 10, "dog": 10})
    before = load_folder(root)
    write_images({"ant": 10})
    after = load_folder(root)
    assert names(before, before.test) == names(after, after.test)[3:]


def test_the_shares_of_a_division_can_be_chosen(write_images) -> None:
    root = write_images({"cat": 10, "dog": 10})
    assert per_class(load_folder(root, val=0, test=0.5).train) == [5, 5]
    assert load_folder(root, val=0, test=1).train == Split()
    assert len(load_folder(root, val=0, test=0).train) == 20


@pytest.mark.parametrize("shares", [{"test": 1.5}, {"val": -0.1}, {"val": 0.6, "test": 0.6}])
def test_shares_that_are_none_are_refused(write_images, shares: dict[str, float]) -> None:
    with pytest.raises(RequestError, match="shares"):
        load_folder(write_images({"cat": 2, "dog": 2}), **shares)


def test_shares_that_would_be_ignored_are_refused(write_images) -> None:
    with pytest.raises(RequestError, match="val="):
        load_folder(write_images({"train/cat": 2, "train/dog": 2}), test=0.5)


def test_odd_names_nested_folders_links_and_litter_are_handled(
    write_images, tmp_path: Path
) -> None:
    root = write_images(
        {"train/rote Äpfel": 1, "train/grüne_Birnen/mehr davon": 2, "train/.git": 1}
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (4, 4), (9, 9, 9)).save(elsewhere / "linked.png")
    (root / "train/日本語").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "round").symlink_to(elsewhere, target_is_directory=True)
    for litter in ("Thumbs.db", ".DS_Store", "._0.png", "desktop.ini"):
        (root / "train/rote Äpfel" / litter).touch()
    data = load_folder(root)
    assert data.class_names == ("grüne Birnen", "rote Äpfel", "日本語")
    assert per_class(data.train) == [2, 1, 1]
    assert len(data.notes) == 1


def test_a_folder_name_with_its_accents_apart_gives_a_name_with_them_composed(write_images) -> None:
    data = load_folder(write_images({"a\u0308pfel": 1, "birnen": 1}), val=0, test=0)
    assert data.class_names == ("birnen", "äpfel")


def test_files_that_belong_nowhere_are_noted(write_images) -> None:
    root = write_images({"train/cat": 1, "train/dog": 1, "test/cat": 1, "test/dog": 1, "docs": 1})
    (root / "train/cat/notes.txt").touch()
    (root / "train/cat/README").touch()
    shutil.copy(root / "docs/0.png", root / "train/loose.png")
    assert load_folder(root).notes == (
        f"folders left out of {root}, being no splits: 'docs'",
        f"images left out of {root / 'train'}, being in no class: 1",
        "files left out for their ending, no image's: 1 (none), 1 .txt",
    )


def test_a_class_may_be_called_train(write_images) -> None:
    data = load_folder(write_images({"bus": 2, "car": 2, "train": 2}))
    assert data.class_names == ("bus", "car", "train")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({".": 3}, "3 images"),
        ({"train": 3}, "train holds files"),
        ({"train/cat": 1, "train/dog": 1, "test": 3}, "test holds files"),
        ({".nothing": 1}, "no images"),
        ({"cat": 0, "dog": 0}, "no images"),
        ({"cat": 3}, "one class, 'cat'"),
        ({"train/cat": 3, "test/cat": 1}, "one class, 'cat'"),
        ({"cat": 3, "dog": 0}, "'dog'"),
        ({"train/cat": 3, "train/dog": 0}, "'dog'"),
        ({"red_fox": 2, "red fox": 2}, "'red_fox'"),
        ({"_": 1, "dog": 1}, "'_'"),
        ({"train/a": 1, "train/b": 1, "val/a": 1, "valid/a": 1}, "val and valid"),
    ],
)
def test_a_folder_that_makes_no_data_set_is_refused_with_a_clear_word(
    write_images, folders: dict[str, int], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        load_folder(write_images(folders) if "." not in folders else flat(write_images))


def flat(write_images) -> Path:
    return write_images({"flat": 3}) / "flat"


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="none"):
        load_folder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="is a file"):
        load_folder(tmp_path / "file")


def test_splits_of_different_classes_are_refused_naming_those_that_differ(write_images) -> None:
    root = write_images(
        {"train/cat": 1, "train/dog": 1, "test/dog": 1, "test/Cat": 1, "test/owl": 1}
    )
    with pytest.raises(RequestError, match=r"train: 'cat'.* test: 'Cat', 'owl'"):
        load_folder(root)


def test_the_same_image_in_train_and_test_is_an_error_that_names_both(write_images) -> None:
    root = write_images({"train/cat": 2, "train/dog": 2, "test/cat": 2, "test/dog": 2})
    shutil.copy(root / "train/dog/1.png", root / "test/cat/copy.png")
    with pytest.raises(RequestError, match=r"test/cat/copy\.png.*train/dog/1\.png"):
        load_folder(root)


def test_copies_do_not_become_test_images_of_a_division(write_images) -> None:
    root = write_images({"cat": 3, "dog": 10})
    for number in range(40):
        shutil.copy(root / "cat/0.png", root / f"cat/copy {number}.png")
    data = load_folder(root)
    contents = {path.read_bytes() for path in (*data.train.paths, *data.val.paths)}
    assert not contents & {path.read_bytes() for path in data.test.paths}
    assert data.notes[0].startswith("test images left out as copies of others: ")
    assert "cat/copy " in data.notes[0]


@pytest.mark.parametrize("split", ["", "train/"])
def test_an_image_that_is_two_things_is_told(write_images, split) -> None:
    root = write_images({f"{split}cat": 5, f"{split}dog": 5})
    shutil.copy(root / f"{split}cat/0.png", root / f"{split}dog/0.png")
    (note,) = [note for note in load_folder(root).notes if "different classes" in note]
    assert f"{split}dog/0.png is {split}cat/0.png" in note


def test_class_names_can_be_given(write_images) -> None:
    root = write_images({"n01": 2, "n02": 2})
    assert load_folder(root, class_names=["a hen", "an owl"]).class_names == ("a hen", "an owl")
    assert load_folder(root, class_names={"n02": "owl"}).class_names == ("n01", "owl")


@pytest.fixture
def copies(tmp_path: Path) -> dict[str, Path]:
    contents = {"a": b"1", "copy of a": b"1", "same size": b"2", "longer": b"12", "none": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def test_equal_files_are_grouped(copies: dict[str, Path], tmp_path: Path) -> None:
    assert find_equal([*copies.values(), tmp_path / "missing", tmp_path]) == [
        [copies["a"], copies["copy of a"]]
    ]


def test_a_file_of_a_size_of_its_own_is_not_read(
    copies: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(reading, "hash_file", lambda path: read.append(path))
    find_equal(copies.values())
    assert copies["longer"] not in read
