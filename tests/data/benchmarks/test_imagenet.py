"""ImageNet, its four shifted test sets, and the traps in their layouts."""

import shutil
from pathlib import Path

import pytest

from crossprompt.clip.load import load_clip
from crossprompt.data import load_dataset, shifted_sets_of
from crossprompt.errors import RequestError
from tests.data.fake_benchmarks import FAKES, WNIDS, put, write

SHIFTED = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("imagenet", *SHIFTED):
        FAKES[name](tmp_path)
    return tmp_path


def wnids(data) -> list[str]:
    return [path.name.partition("_")[0] for path in data.test.paths]


def test_a_label_is_the_position_of_the_sorted_id(root: Path) -> None:
    lines = [f"{wnid} {name}" for wnid, name in reversed(WNIDS.items())]
    write(root / "imagenet/classnames.txt", lines)
    data = load_dataset("imagenet", root=root)
    assert data.class_names[:2] == ("tench", "goldfish")
    assert [sorted(WNIDS)[label] for label in data.test.labels] == wnids(data)
    assert len(data.val) == 0


def test_a_folder_of_imagenetv2_is_the_line_of_its_class(root: Path) -> None:
    lines = [f"{wnid} {name}" for wnid, name in reversed(WNIDS.items())]
    write(root / "imagenetv2/classnames.txt", lines)
    data = load_dataset("imagenetv2", root=root)
    label_of = {item.path.parent.name: item.label for item in data.test}
    assert label_of == {"0": 3, "1": 2, "2": 1, "3": 0}


def test_two_classes_of_one_name_are_told_apart_and_read_alike(root: Path) -> None:
    names = load_dataset("imagenet", root=root).class_names
    assert names[2:] == ("sunglasses", "Sunglasses")
    tokenizer = load_clip("tiny").tokenizer
    first, second = (tokenizer.encode(f"a photo of a {name}.") for name in names[2:])
    assert first == second


def test_imagenet_s_own_list_of_names_serves_its_shifted_sets(root: Path) -> None:
    expected = load_dataset("imagenet_r", root=root)
    (root / "imagenet-rendition/classnames.txt").unlink()
    assert load_dataset("imagenet_r", root=root) == expected
    (root / "imagenet/classnames.txt").unlink()
    with pytest.raises(RequestError, match=r"imagenet-rendition/classnames\.txt"):
        load_dataset("imagenet_r", root=root)


def test_a_flat_val_folder_is_told_with_what_to_do(root: Path) -> None:
    val = root / "imagenet/images/val"
    shutil.rmtree(val)
    put(val, (f"ILSVRC2012_val_{n:08d}.JPEG" for n in range(1, 6)))
    with pytest.raises(RequestError, match=r"val holds 5 files.*valprep\.sh"):
        load_dataset("imagenet", root=root)


def test_train_or_val_alone_will_do_with_a_note(root: Path) -> None:
    shutil.rmtree(root / "imagenet/images/train")
    data = load_dataset("imagenet", root=root)
    assert (len(data.train), len(data.test)) == (0, 12)
    assert "train" in data.notes[0]
    shutil.rmtree(root / "imagenet/images/val")
    with pytest.raises(RequestError, match=r"train\b.*val\b"):
        load_dataset("imagenet", root=root)


def test_class_folders_that_are_missing_or_unknown_are_told(root: Path) -> None:
    images = root / "imagenet/images/train"
    (images / "n01440764").rename(images / "tench")
    with pytest.raises(RequestError, match="tench"):
        load_dataset("imagenet", root=root)
    shutil.rmtree(images / "tench")
    with pytest.raises(RequestError, match="missing: n01440764"):
        load_dataset("imagenet", root=root)
    (root / "imagenet-rendition/imagenet-r/misc").mkdir()
    with pytest.raises(RequestError, match="misc"):
        load_dataset("imagenet_r", root=root)


@pytest.mark.parametrize("line", ["n01440764 cod", "n02", "n02 "])
def test_a_list_of_names_that_is_none_is_told(root: Path, line: str) -> None:
    with (root / "imagenet/classnames.txt").open("a") as file:
        file.write(line)
    with pytest.raises(RequestError, match=r"classnames\.txt"):
        load_dataset("imagenet", root=root)


def test_shifted_sets_know_the_columns_of_their_classes(root: Path) -> None:
    classes = load_dataset("imagenet", root=root).class_names
    sets = shifted_sets_of("imagenet", root)
    assert tuple(sets) == SHIFTED
    for name, each in sets.items():
        assert each.data == load_dataset(name, root=root)
        assert tuple(classes[column] for column in each.positions) == each.data.class_names
    assert sets["imagenetv2"].positions == (0, 1, 2, 3)
    assert sets["imagenet_a"].positions == (0, 3)
    assert sets["imagenet_r"].positions == (1, 3)
    lines = [f"{wnid} {name}" for wnid, name in reversed(WNIDS.items())]
    write(root / "imagenet-rendition/classnames.txt", lines)
    assert shifted_sets_of("imagenet", root)["imagenet_r"].positions == (1, 3)


def test_shifted_sets_that_are_not_there_are_left_out(root: Path) -> None:
    shutil.rmtree(root / "imagenet-rendition")
    assert tuple(shifted_sets_of("imagenet", root)) == SHIFTED[:3]
    assert shifted_sets_of("dtd", root) == {}
    with pytest.raises(RequestError, match="'imagnet'"):
        shifted_sets_of("imagnet", root)
    shutil.rmtree(root / "imagenetv2/imagenetv2-matched-frequency-format-val/0")
    with pytest.raises(RequestError, match=r"missing: 0; .* data check imagenetv2"):
        shifted_sets_of("imagenet", root)
