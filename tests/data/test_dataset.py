"""Data sets: few-shot sets, class subsets, selections, fingerprints, checking of the images."""

import hashlib
import json
import random
from dataclasses import asdict, replace
from inspect import unwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crossprompt import build_method, evaluate, freeze, train
from crossprompt.data import Dataset, Item, Split, load_folder
from crossprompt.data.dataset import check_items
from crossprompt.errors import RequestError
from tests.backbone import NAMES, even_clip, write_items
from tests.unchecked import made

# Golden values: CoOp's sampling run on Dassl, Python 3.11, as recorded in the project's protocol
# notes (section 2): sha1 of the newline-joined paths, train/val, for shots and seed.
GOLDEN = {
    (1, 1): "491eb5b396/01fd5a2928",
    (1, 2): "eb972e72b0/d5a01c7c28",
    (1, 3): "d1919fa324/62476661c5",
    (4, 1): "66642a69ad/b0a19318ea",
    (4, 2): "7a273076a5/695e31f2f5",
    (4, 3): "1d361fa3e4/ed5e598592",
    (16, 1): "8066e3a275/6353196e07",
    (16, 2): "91ab084a20/81fd72c870",
    (16, 3): "5e2961d287/b1eb80ca04",
}


def digest(split: Split) -> str:
    text = "\n".join(path.as_posix() for path in split.paths)
    return hashlib.sha1(text.encode()).hexdigest()[:10]


@pytest.mark.parametrize(("shots", "seed"), GOLDEN)
def test_few_shot_sets_are_those_of_coop(listed: Dataset, shots: int, seed: int) -> None:
    few = listed.few_shot(shots, seed)
    assert f"{digest(few.train)}/{digest(few.val)}" == GOLDEN[shots, seed]
    assert few.test == listed.test
    assert few.class_names == listed.class_names
    assert few.notes == ()


def test_a_class_of_just_as_many_images_as_shots_is_still_drawn(listed: Dataset) -> None:
    stream = random.Random(1)  # as Dassl does, which moves the stream on for the next class
    drawn = [
        path
        for at in range(0, 400, 40)
        for path in stream.sample(listed.train.paths[at : at + 40], 40)
    ]
    assert list(listed.few_shot(40).train.paths) == drawn


def test_a_class_with_fewer_images_than_shots_gives_all_and_a_note_says_so(
    listed: Dataset,
) -> None:
    short = replace(listed, train=Split(listed.train.items[39:]))
    few = short.few_shot(16)
    assert few.train.labels.count(0) == 1
    assert few.train.labels.count(1) == 16
    (note,) = few.notes
    assert "'class 0' has 1 training image, fewer than 16 shots" in note


@pytest.mark.parametrize("classes", [3, 4])
def test_many_short_classes_are_one_note(classes: int) -> None:
    names = tuple(f"kind {label}" for label in range(classes))
    items = [Item(Path(f"{label}{x}.png"), label) for label in range(classes) for x in "abc"]
    notes = Dataset("short", names, Split(tuple(items[1:]))).few_shot(4).notes
    assert len(notes) == (3 if classes == 3 else 1)
    assert "'kind 0'" in notes[0]


def test_a_class_without_training_images_is_named(listed: Dataset) -> None:
    with pytest.raises(RequestError, match="'class 0'"):
        replace(listed, train=Split(listed.train.items[40:])).few_shot(1)


def test_zero_shots_are_refused(listed: Dataset) -> None:
    with pytest.raises(RequestError, match="0 shots"):
        listed.few_shot(0)
    for shots in ("2", 1.5):
        with pytest.raises(RequestError, match=f"{shots!r} shots"):
            unwrap(Dataset.few_shot)(listed, shots)
    with pytest.raises(RequestError, match="seed 'a'"):
        unwrap(Dataset.few_shot)(listed, 1, "a")
    found = unwrap(Dataset.few_shot)(listed, np.int64(1), np.int64(2))
    assert found == listed.few_shot(1, 2)
    assert json.loads(json.dumps(asdict(found.selection)))["shots"] == 1


def test_nested_sets_of_fewer_shots_lie_in_those_of_more(listed: Dataset) -> None:
    sets = [listed.few_shot(shots, seed=2, nested=True) for shots in (1, 2, 4, 8, 16, 40)]
    for fewer, more in pairwise(sets):
        assert set(fewer.train) < set(more.train)
        assert set(fewer.val) <= set(more.val)
    assert [len(few.train) for few in sets] == [10, 20, 40, 80, 160, 400]
    assert [len(few.val) for few in sets] == [10, 20, 40, 40, 40, 40]


def test_other_seeds_draw_other_nested_sets(listed: Dataset) -> None:
    assert listed.few_shot(1, 1, nested=True).train != listed.few_shot(1, 2, nested=True).train


def test_base_and_new_classes_are_taken_after_sampling_and_labelled_from_0(
    listed: Dataset,
) -> None:
    few = replace(listed.few_shot(2), shifted={"sketch": listed.test})
    base, new = few.subset("base"), few.subset("new")
    assert base.class_names == listed.class_names[:5]
    assert new.class_names == listed.class_names[5:]
    assert base.train.paths + new.train.paths == few.train.paths
    assert set(new.train.labels) == set(new.shifted["sketch"].labels) == set(range(5))
    assert few.subset("all") == few


def test_base_is_the_larger_half_of_an_odd_number_of_classes(listed: Dataset) -> None:
    nine = listed.subset("base").class_names
    assert len(Dataset("odd", nine).subset("base").class_names) == 3
    assert len(Dataset("odd", nine).subset("new").class_names) == 2


@pytest.mark.parametrize("which", ["half", "new"])
def test_a_subset_that_is_unknown_or_empty_is_refused(which: str) -> None:
    with pytest.raises(RequestError, match=which):
        Dataset("one", ("cat",)).subset(which)


def test_a_selection_draws_the_same_set_again(listed: Dataset, tmp_path: Path) -> None:
    few = listed.few_shot(4, seed=3)
    few.save_selection(tmp_path / "few.json")
    again = listed.load_selection(tmp_path / "few.json")
    assert (again.train, again.val, again.test) == (few.train, few.val, few.test)
    assert again.selection == few.selection


def test_a_selection_of_other_data_is_refused(listed: Dataset, tmp_path: Path) -> None:
    listed.few_shot(4).save_selection(tmp_path / "few.json")
    renamed = replace(listed, class_names=tuple(name.upper() for name in listed.class_names))
    with pytest.raises(RequestError, match="fingerprint"):
        renamed.load_selection(tmp_path / "few.json")


def test_only_what_few_shot_drew_has_a_selection_to_save(listed: Dataset, tmp_path: Path) -> None:
    for dataset in (listed, listed.few_shot(4).subset("base")):
        with pytest.raises(RequestError, match="few_shot"):
            dataset.save_selection(tmp_path / "few.json")


def test_the_fingerprint_does_not_depend_on_where_the_data_is(listed: Dataset) -> None:
    def moved(split: Split) -> Split:
        return Split.of([Path("/data") / path for path in split.paths], split.labels)

    parts = {name: moved(split) for name, split in listed.splits.items()}
    elsewhere = Dataset("moved", listed.class_names, **parts)
    assert elsewhere.fingerprint == listed.fingerprint
    assert replace(elsewhere, root=Path("/data")).fingerprint == listed.fingerprint
    assert replace(elsewhere, root=Path("/")).fingerprint != listed.fingerprint


def test_the_fingerprint_depends_on_names_paths_labels_and_splits(listed: Dataset) -> None:
    first, *others = listed.train
    changed = [
        replace(listed, class_names=("class x", *listed.class_names[1:])),
        replace(listed, train=Split((Item(Path("class_00/new.jpg"), 0), *others))),
        replace(listed, train=Split((Item(first.path, 1), *others))),
        replace(listed, train=listed.train[:-1], val=Split((listed.train[-1], *listed.val))),
        replace(listed, shifted={"sketch": listed.test}),
    ]
    prints = {listed.fingerprint, *(dataset.fingerprint for dataset in changed)}
    assert len(prints) == 6


def test_a_label_without_a_class_name_is_refused() -> None:
    with pytest.raises(RequestError, match="from 0 to 2"):
        Dataset("pets", ("cat", "dog"), test=Split.of(["a.png", "b.png"], [0, 2]))


def test_a_split_is_a_sequence_of_items(listed: Dataset) -> None:
    assert listed.test[0] == Item(Path("class_00/img_050.jpg"), 0)
    assert isinstance(listed.test[1:3], Split)
    assert list(listed.test[1:3]) == [listed.test[1], listed.test[2]]
    assert repr(listed.test) == "Split(30 items of 10 classes)"


def test_lists_become_splits_and_texts_paths() -> None:
    items = [made(Item, "a.png", 0), Item(Path("b.png"), 1)]
    data = made(Dataset, "mine", ("cat", "dog"), train=items, test=iter(items))
    assert data.train == made(Split, items) == data.test == Split.of(["a.png", "b.png"], [0, 1])


@pytest.mark.parametrize(
    ("items", "told"),
    [
        (Dataset("mine", ("cat",)), "a Dataset to learn"),
        ("photos", "a str to learn"),
        (iter([]), "a list_iterator to learn"),
        ([Path("a.png")], r"PosixPath\('a.png'\) to learn, .* Item"),
        ([("a.png", 0)], r"\('a.png', 0\) to learn"),
        (
            [made(Item, Path("a.png"), "cat")],
            "an Item",
        ),
    ],
)
def test_what_is_no_labelled_images_is_told(items, told) -> None:
    with pytest.raises(RequestError, match=told):
        check_items(items, "learn")
    check_items([made(Item, Path("a.png"), np.int64(0))], "learn")


def test_a_whole_data_set_is_told_wherever_a_split_is_meant(tmp_path: Path) -> None:
    clip, items = even_clip(), write_items(tmp_path, [0, 1, 2, 3])
    data, method = (
        Dataset("mine", NAMES, train=Split(tuple(items))),
        build_method("coop", clip, NAMES),
    )
    with pytest.raises(RequestError, match="Dataset"):
        unwrap(train)(method, clip, data)
    with pytest.raises(RequestError, match="Dataset"):
        unwrap(train)(method, clip, data.train, val=data)
    with pytest.raises(RequestError, match="Dataset"):
        unwrap(freeze)(method, clip, data)
    with pytest.raises(RequestError, match="Dataset"):
        unwrap(evaluate)(freeze(method, clip), data)


def test_checked_data_without_bad_images_is_unchanged(write_images) -> None:
    data = load_folder(write_images({"cat": 4, "dog": 4}))
    calls: list[tuple[int, int]] = []
    assert data.checked(progress=lambda done, total: calls.append((done, total))) == data
    assert calls == [(done, 8) for done in range(1, 9)]


def test_bad_images_are_an_error_or_left_out_with_a_note(write_images) -> None:
    root = write_images({"train/cat": 3, "train/dog": 3, "test/cat": 2, "test/dog": 2})
    (root / "train/cat/0.png").write_bytes(b"")
    (root / "test/dog/1.png").write_text("no image")
    data = load_folder(root)
    with pytest.raises(RequestError, match="2 of 10"):
        data.checked()
    checked = data.checked(skip_bad_images=True)
    assert (len(checked.train), len(checked.test)) == (5, 3)
    assert "train/cat/0.png: the file is empty" in checked.notes[-1]
    assert "test/dog/1.png: not an image format" in checked.notes[-1]


def test_a_checked_few_shot_set_selects_what_is_left(write_images, tmp_path: Path) -> None:
    root = write_images({"train/cat": 3, "train/dog": 3})
    (root / "train/cat/0.png").write_bytes(b"")
    data = load_folder(root)
    few = data.few_shot(3).checked(skip_bad_images=True)
    few.save_selection(tmp_path / "few.json")
    assert len(few.train) == 5
    assert data.load_selection(tmp_path / "few.json").train == few.train


def test_a_class_whose_training_images_are_all_bad_is_an_error(write_images) -> None:
    root = write_images({"train/cat": 1, "train/dog": 2})
    (root / "train/cat/0.png").write_bytes(b"")
    with pytest.raises(RequestError, match="'cat'"):
        load_folder(root).checked(skip_bad_images=True)
