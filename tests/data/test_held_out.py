"""Images that a classifier is evaluated on: none that it was trained on."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from crossprompt import load_dataset
from crossprompt.data.dataset import Item, Split
from crossprompt.data.held_out import HeldOut, choose_held_out, describe_data, relabel
from crossprompt.errors import RequestError
from tests.conftest import write_photos


def trained_on(source: Path) -> dict[str, Any]:
    """The record of a classifier's training data."""
    data = load_dataset(source)
    return describe_data(data, data.few_shot(2))


def paths(held_out: HeldOut) -> set[Path]:
    assert held_out.data.train == held_out.data.val == Split()
    return set(held_out.data.test.paths)


@pytest.fixture
def divided(photos: Path, tmp_path: Path) -> Path:
    """A folder that says which images are for testing: of each class all but the first."""
    for split in ("train", "test"):
        shutil.copytree(photos, tmp_path / "divided" / split)
    for path in (tmp_path / "divided").rglob("*.png"):
        if (path.name == "0.png") == ("test" in path.parts):
            path.unlink()
    return tmp_path / "divided"


def test_what_was_held_out_of_the_training_is_taken_again(photos) -> None:
    held_out = choose_held_out(photos, trained_on(photos))
    assert paths(held_out) == set(load_dataset(photos).test.paths)
    assert "9 images of photos" in held_out.sentence


def test_the_same_folder_is_known_by_any_path(photos, monkeypatch) -> None:
    about = trained_on(photos)
    monkeypatch.chdir(photos)
    assert len(choose_held_out(".", about).data.test) == 9


def test_every_image_of_a_new_folder_is_taken_though_its_files_are_called_the_same(
    photos, tmp_path
) -> None:
    new = write_photos(tmp_path / "new")
    for path in new.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"other")
    held_out = choose_held_out(new, trained_on(photos))
    assert len(paths(held_out)) == 30
    assert held_out.sentence == "Evaluated on all 30 images of new."


def test_a_folder_of_one_class_is_enough(photos, tmp_path) -> None:
    new = write_photos(tmp_path / "new", classes=("cat",), images=3)
    assert len(paths(choose_held_out(new, trained_on(photos)))) == 3


def test_a_folder_with_splits_gives_its_test_images(photos, divided) -> None:
    for about in (trained_on(photos), trained_on(divided), {}):
        held_out = choose_held_out(divided, about)
        assert paths(held_out) == set(load_dataset(divided).test.paths)
        assert held_out.sentence == "Evaluated on the 27 test images of divided."


def test_a_test_folder_beside_the_training_images_is_taken_whole(divided) -> None:
    held_out = choose_held_out(divided / "test", trained_on(divided))
    assert len(paths(held_out)) == 27


def test_a_csv_file_without_splits_is_taken_whole_unless_it_was_trained_on(
    photos, tmp_path
) -> None:
    lines = [f"{path},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    assert len(paths(choose_held_out(tmp_path / "list.csv", {}))) == 30
    assert (
        len(paths(choose_held_out(tmp_path / "list.csv", trained_on(tmp_path / "list.csv")))) == 9
    )


def test_all_images_are_all_of_them(photos, divided) -> None:
    for source in (photos, divided):
        held_out = choose_held_out(source, trained_on(source), all_images=True)
        assert len(paths(held_out)) == 30
        assert f"all 30 images of {source.name}" in held_out.sentence


def test_a_changed_folder_is_taken_but_for_what_was_learned_from(photos, tmp_path) -> None:
    changed = tmp_path / "photos"
    shutil.copytree(photos, changed)
    about, few = trained_on(changed), load_dataset(changed).few_shot(2)
    unused = next(path for path in few.test.paths)
    unused.unlink()
    held_out = choose_held_out(changed, about)
    assert len(paths(held_out)) == 30 - 1 - len(few.train) - len(few.val) == 20
    assert not paths(held_out) & {*few.train.paths, *few.val.paths}
    assert "20 images of photos" in held_out.sentence


def test_what_was_learned_from_is_known_by_any_name(photos, tmp_path) -> None:
    few = load_dataset(photos).few_shot(2)
    (tmp_path / "new" / "cat").mkdir(parents=True)
    shutil.copy(few.train.paths[0], tmp_path / "new" / "cat" / "renamed.png")
    with pytest.raises(RequestError, match="--all-images"):
        choose_held_out(tmp_path / "new", trained_on(photos))
    assert len(choose_held_out(tmp_path / "new", {}).data.test) == 1


def test_a_file_that_cannot_be_read_is_left_to_the_check_of_images(photos, tmp_path) -> None:
    (tmp_path / "new" / "cat").mkdir(parents=True)
    (tmp_path / "new" / "cat" / "nowhere.png").symlink_to(tmp_path / "nowhere")
    assert len(choose_held_out(tmp_path / "new", trained_on(photos)).data.test) == 1


def test_a_folder_without_test_images_is_refused(divided) -> None:
    shutil.rmtree(divided / "test")
    with pytest.raises(RequestError, match="--all-images"):
        choose_held_out(divided, {})
    assert len(choose_held_out(divided, {}, all_images=True).data.test) == 3


def test_what_is_wrong_with_the_data_is_told(tmp_path) -> None:
    with pytest.raises(RequestError, match="called"):
        choose_held_out(tmp_path / "nowhere", {})
    with pytest.raises(RequestError, match="no class folders"):
        choose_held_out(tmp_path, {})


def test_labels_are_matched_by_class_name() -> None:
    split = Split.of(["a", "b", "c"], [0, 2, 0])
    found = relabel(split, ("dog", "unseen", "cat"), ("cat", "cow", "dog"))
    assert found.items == (Item(Path("a"), 2), Item(Path("b"), 0), Item(Path("c"), 2))


def test_a_class_that_the_classifier_does_not_know_is_named() -> None:
    known = tuple(f"class {number}" for number in range(12))
    with pytest.raises(RequestError, match=r"'bird', 'dog'; .*'class 0', .* and 2 more"):
        relabel(Split.of(["a", "b"], [0, 1]), ("dog", "bird"), known)
