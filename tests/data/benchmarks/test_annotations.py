"""The official annotation files, read where CoOp's split file is not there."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from crossprompt.data import BENCHMARKS, Dataset, load_dataset
from crossprompt.data.benchmarks import annotations as matlab
from crossprompt.errors import RequestError
from tests.data.fake_benchmarks import put, write


def pets(root: Path) -> None:
    folder = root / "oxford_pets"
    lines = [f"Abyssinian_{n} 1 1 1" for n in range(5)] + [
        f"Egyptian_Mau_{n} 2 1 2" for n in range(5)
    ]
    write(folder / "annotations/trainval.txt", lines)
    write(folder / "annotations/test.txt", ["Abyssinian_7 1 1 1", "Egyptian_Mau_7 2 1 2"])
    put(folder / "images", (f"{line.split()[0]}.jpg" for line in lines))
    put(folder / "images", ["Abyssinian_7.jpg", "Egyptian_Mau_7.jpg"])


def food(root: Path) -> None:
    folder = root / "food-101"
    train = [f"{name}/{n}" for name in ("waffles", "apple_pie") for n in range(5)]
    write(folder / "meta/train.txt", train)
    write(folder / "meta/test.txt", ["apple_pie/7", "waffles/7"])
    put(folder / "images", (f"{x}.jpg" for x in (*train, "apple_pie/7", "waffles/7")))


def textures(root: Path) -> None:
    for split in ("train", "val", "test"):
        paths = [f"{name}/{name}_{split}.jpg" for name in ("zigzagged", "banded")]
        write(root / f"dtd/labels/{split}1.txt", paths)
        put(root / "dtd/images", paths)


def scenes(root: Path) -> None:
    folder = root / "sun397"
    write(folder / "ClassName.txt", ["/a/abbey", "/a/apse/indoor"])
    train = [f"/a/{name}/sun_{n}.jpg" for name in ("apse/indoor", "abbey") for n in range(5)]
    test = ["/a/apse/indoor/sun_8.jpg", "/a/abbey/sun_8.jpg"]
    write(folder / "Training_01.txt", train)
    write(folder / "Testing_01.txt", test)
    put(folder / "SUN397", (path[1:] for path in train + test))


def actions(root: Path) -> None:
    lists, frames = root / "ucf101/ucfTrainTestlist", root / "ucf101/UCF-101-midframes"
    write(lists / "classInd.txt", ["1 ApplyEyeMakeup", "2 YoYo"])
    for file, numbers in (("trainlist01", range(5)), ("testlist01", range(7, 8))):
        videos = [f"{a}/v_{a}_{n}.avi" for a in ("YoYo", "ApplyEyeMakeup") for n in numbers]
        label = " 1" if file == "trainlist01" else ""
        write(lists / f"{file}.txt", (video + label for video in videos))
        for n in numbers:
            put(frames, [f"Apply_Eye_Makeup/v_ApplyEyeMakeup_{n}.jpg", f"Yo_Yo/v_YoYo_{n}.jpg"])


def cars(root: Path) -> None:
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    names = np.array(["Acura RL Sedan 2012", "Audi RS 4 Convertible 2008"], dtype=object)
    savemat(folder / matlab.CAR_NAMES, {"class_names": names})
    kind = [("bbox_x1", object), ("class", object), ("fname", object)]
    for file, images in ((matlab.CAR_TRAIN, range(10)), (matlab.CAR_TEST, range(20, 22))):
        entries = np.array([(39, 2 - n % 2, f"{n:05d}.jpg") for n in images], dtype=kind)
        savemat(folder / file, {"annotations": entries[None]})
        where = "cars_train" if file == matlab.CAR_TRAIN else "cars_test"
        put(folder / where, (f"{n:05d}.jpg" for n in images))


def flowers(root: Path, official: bool = True) -> None:
    folder = root / "oxford_flowers"
    labels = np.array([[2] * 10 + [1] * 10], dtype=np.uint8)
    put(folder / "jpg", (f"image_{n:05d}.jpg" for n in range(1, 21)))
    savemat(folder / "imagelabels.mat", {"labels": labels})
    (folder / "cat_to_name.json").write_text(json.dumps({"2": "tiger lily", "1": "pink primrose"}))
    if official:
        splits = {"trnid": [[1, 2, 11, 12]], "valid": [[3, 13]], "tstid": [[4, 14, 15]]}
        savemat(folder / "setid.mat", splits)


def folders(name: str, images: str, classes: tuple[str, ...]) -> Callable[[Path], None]:
    def fake(root: Path) -> None:
        for label, each in enumerate(classes):
            put(root / name / images / each, (f"{label}_{n}.jpg" for n in range(10)))

    return fake


caltech = folders(
    "caltech-101",
    "101_ObjectCategories",
    ("BACKGROUND_Google", "Faces", "Faces_easy", "airplanes", "yin_yang"),
)
eurosat = folders("eurosat", "2750", ("AnnualCrop", "Forest", "SeaLake"))

WITHOUT_SPLIT_FILE = {
    "oxford_pets": (pets, ("abyssinian", "egyptian mau"), (8, 2, 2)),
    "food101": (food, ("apple pie", "waffles"), (8, 2, 2)),
    "dtd": (textures, ("banded", "zigzagged"), (2, 2, 2)),
    "sun397": (scenes, ("abbey", "indoor apse"), (8, 2, 2)),
    "ucf101": (actions, ("Apply Eye Makeup", "Yo Yo"), (8, 2, 2)),
    "stanford_cars": (cars, ("2012 Acura RL Sedan", "2008 Audi RS 4 Convertible"), (8, 2, 2)),
    "oxford_flowers": (flowers, ("pink primrose", "tiger lily"), (4, 2, 3)),
    "caltech101": (caltech, ("face", "airplane", "yin yang"), (15, 6, 9)),
    "eurosat": (eurosat, ("Annual Crop Land", "Forest", "Sea or Lake"), (15, 6, 9)),
}


def folder_of(data: Dataset, label: int) -> set[str]:
    """The folders or beginnings of the images of a label."""
    assert data.root is not None
    items = [item for split in data.splits.values() for item in split if item.label == label]
    return {item.path.relative_to(data.root).as_posix().rstrip("0123456789.jpg_") for item in items}


def test_every_data_set_with_a_split_file_can_do_without() -> None:
    assert WITHOUT_SPLIT_FILE.keys() == {n for n, entry in BENCHMARKS.items() if entry.split_file}


@pytest.mark.parametrize("name", WITHOUT_SPLIT_FILE)
def test_the_official_files_stand_in_and_a_note_says_so(name: str, tmp_path: Path) -> None:
    fake, names, sizes = WITHOUT_SPLIT_FILE[name]
    fake(tmp_path)
    data = load_dataset(name, root=tmp_path)
    assert data.class_names == names
    assert (len(data.train), len(data.val), len(data.test)) == sizes
    for split in (data.train, data.val, data.test):
        assert set(split.labels) == set(range(len(names)))
    assert len({path for split in data.splits.values() for path in split.paths}) == sum(sizes)
    entry = BENCHMARKS[name]
    assert f"{entry.split_file} is not in {tmp_path / entry.places[0][0]}" in data.notes[0]
    assert f"{entry.instead}: accuracies do not compare with published ones" in data.notes[0]
    assert f"all splits: {sum(sizes)} images found, {entry.images:,} published" in data.notes
    assert load_dataset(name, root=tmp_path) == data


@pytest.mark.parametrize("name", ["sun397", "ucf101", "food101", "oxford_pets"])
def test_images_get_the_label_of_their_class(name: str, tmp_path: Path) -> None:
    WITHOUT_SPLIT_FILE[name][0](tmp_path)
    data = load_dataset(name, root=tmp_path)
    first = {"sun397": "a/abbey", "ucf101": "Apply", "food101": "apple_pie"}
    assert all(x.startswith(first.get(name, "Abyss")) for x in folder_of(data, 0))


def test_cars_are_found_by_their_split(tmp_path: Path) -> None:
    cars(tmp_path)
    data = load_dataset("stanford_cars", root=tmp_path)
    assert {path.parent.name for path in data.train.paths} == {"cars_train"}
    assert [path.name for path in data.test.paths] == ["00020.jpg", "00021.jpg"]
    assert data.test.labels == (1, 0)


def test_flowers_keep_the_order_of_their_first_images(tmp_path: Path) -> None:
    flowers(tmp_path, official=False)
    data = load_dataset("oxford_flowers", root=tmp_path)
    assert data.train.labels == (1,) * 5 + (0,) * 5
    assert (len(data.val), len(data.test)) == (4, 6)


def test_without_any_list_both_ways_are_told(tmp_path: Path) -> None:
    (tmp_path / "dtd/images").mkdir(parents=True)
    with pytest.raises(RequestError) as raised:
        load_dataset("dtd", root=tmp_path)
    assert "split_zhou_DescribableTextures.json is not in" in str(raised.value)
    assert "there is no file" in str(raised.value)
    assert "labels/train1.txt" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("oxford_pets", "annotations/test.txt", "Abyssinian_7", "expected 2 words or more"),
        ("oxford_pets", "annotations/test.txt", "Abyssinian_7 x", "'x' where a class's number"),
        ("sun397", "Testing_01.txt", "/b/bar/1.jpg", "names the class 'b/bar', which the list"),
        ("sun397", "Testing_01.txt", "", "Testing_01.txt is empty"),
        ("sun397", "Testing_01.txt", "\udcff", "is no UTF-8 text"),
        ("ucf101", "ucfTrainTestlist/classInd.txt", "1", "expected 2 words or more"),
        ("oxford_flowers", "cat_to_name.json", "{", "is no JSON of names"),
        ("oxford_flowers", "cat_to_name.json", '{"1": "rose"}', "no name for the label 2"),
        ("oxford_flowers", "imagelabels.mat", "", "imagelabels.mat cannot be read"),
        ("stanford_cars", matlab.CAR_TEST, "no", "cars_test_annos_withlabels.mat cannot be read"),
    ],
)
def test_a_damaged_list_is_told(
    name: str, file: str, content: str, message: str, tmp_path: Path
) -> None:
    WITHOUT_SPLIT_FILE[name][0](tmp_path)
    path = tmp_path / BENCHMARKS[name].places[0][0] / file
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(RequestError, match=message):
        load_dataset(name, root=tmp_path)


def test_labels_of_cars_without_their_classes_are_told(tmp_path: Path) -> None:
    cars(tmp_path)
    file = tmp_path / "stanford_cars" / matlab.CAR_TEST
    entries = np.array(
        [(39, f"{n}.jpg") for n in range(2)], [("bbox_x1", object), ("fname", object)]
    )
    savemat(file, {"annotations": entries[None]})
    with pytest.raises(RequestError, match="does not say each image's class"):
        load_dataset("stanford_cars", root=tmp_path)
    entries = np.array([(9, f"{n}.jpg") for n in range(2)], [("class", object), ("fname", object)])
    savemat(file, {"annotations": entries[None]})
    with pytest.raises(RequestError, match="a class beyond those in"):
        load_dataset("stanford_cars", root=tmp_path)
    savemat(file, {"other": 1})
    with pytest.raises(RequestError, match="no variable 'annotations'"):
        load_dataset("stanford_cars", root=tmp_path)
    file.unlink()
    with pytest.raises(RequestError, match=r"there is no file .*withlabels\.mat"):
        load_dataset("stanford_cars", root=tmp_path)


def test_without_scipy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flowers(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(RequestError, match=r"pip install 'crossprompt\[data\]'"):
        load_dataset("oxford_flowers", root=tmp_path)
