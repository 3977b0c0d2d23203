"""The scikit-learn manner."""

import shutil
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from crossprompt import PromptClassifier, load, load_dataset
from crossprompt.data import list_images
from crossprompt.errors import RequestError
from tests.backbone import NAMES, write_items
from tests.conftest import write_photos


@pytest.fixture
def make(backbone: str):
    """Builds a small estimator."""

    def build(**options: Any) -> PromptClassifier:
        return PromptClassifier(**{"method": "linear_probe", "backbone": backbone, **options})

    return build


def test_a_folder_is_learned_from_and_predicted(make, photos) -> None:
    model = make(shots=None).fit(photos)
    assert model.classes_.tolist() == ["cat", "hot air balloon", "yorkshire terrier"]
    files = list_images(photos)
    probabilities = model.predict_proba(photos)
    assert probabilities.shape == (30, 3)
    assert probabilities.sum(1) == pytest.approx(np.ones(30), abs=1e-5)
    assert model.predict(photos).tolist() == model.predict(files).tolist()
    assert model.predict(files[:1])[0] == model.classes_[probabilities[0].argmax()]
    # every image of a folder is learned from, and all images of another are measured on
    right = model.predict(files) == [path.parent.name.replace("_", " ") for path in files]
    assert model.score(photos) == pytest.approx(right.mean())


def test_a_list_of_files_is_learned_from_with_its_labels(make, tmp_path) -> None:
    items = write_items(tmp_path, [0, 1, 2] * 3)
    files, labels = [item.path for item in items], [item.label for item in items]
    model = make(options={"c": 1e4}).fit(files, labels)
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict(files).tolist() == labels  # numbers, as they were given
    assert model.score(files, labels) == 1.0
    assert model.score(files, labels[1:] + labels[:1]) == 0.0
    named = make(options={"c": 1e4}).fit(np.array(files), np.array(NAMES)[labels])
    assert named.predict(files).tolist() == [NAMES[label] for label in labels]
    assert named.classifier_.class_names == tuple(sorted(NAMES[:3]))


def test_a_folder_with_splits_is_learned_from_its_training_images_alone(
    make, photos, tmp_path
) -> None:
    for split in ("train", "test"):
        write_photos(tmp_path / "data" / split, images=3 if split == "train" else 4)
    next((tmp_path / "data" / "test").rglob("*.png")).write_bytes(b"unreadable")
    model = make().fit(tmp_path / "data")  # the test images are not even read
    assert model.classifier_.information["data"]["name"] == "data"
    with pytest.raises(RequestError, match="cannot"):
        model.score(tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "train")
    write_photos(tmp_path / "other", images=2)
    assert 0 <= model.score(tmp_path / "other") <= 1


def test_parameters_are_those_of_scikit_learn(make, backbone) -> None:
    model = make(shots=4, seed=3, training={})
    assert model.get_params() == {
        "method": "linear_probe",
        "backbone": backbone,
        "shots": 4,
        "seed": 3,
        "options": None,
        "training": {},
        "device": "auto",
        "dtype": "auto",
        "skip_bad_images": False,
    }
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(shots=8).shots == 8
    with pytest.raises(ValueError, match="Invalid parameter 'shot'"):
        model.set_params(shot=8)
    assert "linear_probe" in repr(model)


def test_it_goes_into_scikit_learns_cross_validation(make, tmp_path) -> None:
    items = write_items(tmp_path, [0, 1] * 4)
    files, labels = [str(item.path) for item in items], [NAMES[item.label] for item in items]
    assert cross_val_score(make(), files, labels, cv=2).shape == (2,)


def test_settings_reach_the_method_and_the_training(make, photos) -> None:
    options = {"method": "coop", "shots": 1, "training": {"epochs": 1}}
    model = make(options={"length": 3}, **options).fit(photos)
    assert model.classifier_.method.config.length == 3
    assert model.classifier_.information["training"]["epochs"] == 1
    assert model.classifier_.information["data"]["shots"] == 1
    with pytest.raises(RequestError, match="lenght"):
        make(options={"lenght": 3}, **options).fit(photos)


def test_the_same_seed_gives_the_same_answers(make, photos) -> None:
    first, second, other = (
        make(shots=1, seed=seed).fit(photos).predict_proba(photos) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_nothing_can_be_predicted_before_the_fit(make, photos) -> None:
    for ask in (make().predict, make().predict_proba, make().score):
        with pytest.raises(NotFittedError):
            ask(photos)


def test_no_images_have_no_answers(make, photos) -> None:
    model = make(shots=1).fit(photos)
    assert model.predict_proba([]).shape == (0, 3)
    assert model.predict([]).shape == (0,)


@pytest.mark.parametrize(
    ("files", "labels", "told"),
    [
        (["a.png", "b.png"], ["a"], "found 2 files and 1 labels"),
        ("a.png", ["a"], "single path"),
        (["a.png"], None, "labels"),
        (["a.png", "b.png"], ["a", None], r"b\.png"),
        (["a.png", "b.png"], [float("nan"), 1.0], r"a\.png"),
        (["a.png", "b.png"], ["a", float("nan")], r"b\.png"),
        (np.array([3, 4]), ["a", "b"], "int64"),
        (["a.png", "b.png"], np.eye(2), r"\(2, 2\)"),
        (
            ["a.png", "b.png"],
            [[1, 0], [0, 1]],
            r"the label of a\.png is \[1, 0\], expected a",
        ),
    ],
)
def test_files_and_labels_that_do_not_go_together_are_refused(make, files, labels, told) -> None:
    with pytest.raises(RequestError, match=told):
        make().fit(files, labels)


def test_a_single_column_is_taken_for_its_values(make, tmp_path) -> None:
    files, labels = np.array(list_images(write_photos(tmp_path)), object), np.arange(30) % 3
    column = make(shots=2).fit(files[:, None], labels[:, None])
    assert np.array_equal(
        column.predict(files[:, None]), make(shots=2).fit(files, labels).predict(files)
    )


def test_numpy_s_numbers_are_settings_and_are_saved_as_numbers(make, photos, tmp_path) -> None:
    one, two = np.arange(1, 3)
    model = make(method="coop", training={"epochs": two}).set_params(shots=two, seed=one)
    saved = load(model.fit(photos).classifier_.save(tmp_path / "run"))
    assert saved.information["data"]["shots"] == 2
    training = saved.information["training"]
    assert (training["epochs"], training["seed"]) == (2, 1)


def test_probabilities_add_up_as_exactly_as_scikit_learn_asks(make, photos) -> None:
    rows = make(shots=2).fit(photos).predict_proba(photos)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=0, atol=1e-15)


def test_what_a_user_should_know_is_kept(make, photos) -> None:
    assert make(shots=1).fit(photos).notes_ == []
    note = make(shots=99).fit(photos).notes_[0]
    assert all(part in note for part in ("'cat'", "10", "99"))


def test_bad_images_may_be_left_out(make, tmp_path) -> None:
    folder = write_photos(tmp_path)
    (folder / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(RequestError, match="1 of 30"):
        make(shots=None).fit(folder)
    (note,) = make(shots=None, skip_bad_images=True).fit(folder).notes_
    assert note.startswith("images left out because they cannot be read: 1")


def test_a_file_that_is_no_list_of_images_cannot_be_predicted(make, photos) -> None:
    model = make(shots=1).fit(photos)
    with pytest.raises(RequestError, match="no folder"):
        model.predict(photos / "cat" / "0.png")


def test_labels_of_one_class_are_refused(make, photos) -> None:
    with pytest.raises(RequestError, match="at least two"):
        make().fit(list_images(photos)[:3], ["cat"] * 3)


def test_classes_that_were_not_learned_cannot_be_scored(make, photos, tmp_path) -> None:
    model = make(shots=1).fit(photos)
    with pytest.raises(RequestError, match="zebra"):
        model.score(write_photos(tmp_path / "zoo", classes=("cat", "zebra"), images=1))
    assert load_dataset(photos).class_names == tuple(model.classes_)


def test_an_unreadable_file_is_named(make, photos, tmp_path) -> None:
    (tmp_path / "bad.png").touch()
    with pytest.raises(RequestError, match=r"bad\.png .*empty"):
        make(shots=1).fit(photos).predict([tmp_path / "bad.png"])
