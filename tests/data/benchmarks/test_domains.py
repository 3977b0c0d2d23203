"""Data sets of several domains: one to learn from, the others as shifted sets."""

import shutil
from pathlib import Path

import pytest

from crossprompt.data import load_dataset
from crossprompt.errors import RequestError, UnsuitableError
from tests.data.fake_benchmarks import DOMAINNET, FAKES, PACS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("pacs", "office_home", "domainnet"):
        FAKES[name](tmp_path)
    return tmp_path


def test_a_domain_is_an_option_or_part_of_the_name(root: Path) -> None:
    data = load_dataset("pacs", root=root, source="sketch")
    assert data == load_dataset("pacs:sketch", root=root)
    assert data.name == "pacs:sketch"
    with pytest.raises(RequestError, match="source="):
        load_dataset("pacs:sketch", root=root, source="photo")
    assert list(data.shifted) == [domain for domain in PACS if domain != "sketch"]
    for domain, split in data.shifted.items():
        assert {path.parts[-3] for path in split.paths} == {domain}


@pytest.mark.parametrize("name", ["pacs", "pacs:", "pacs:film"])
def test_a_domain_that_is_none_is_refused_with_those_there_are(root: Path, name: str) -> None:
    with pytest.raises(RequestError, match="pacs:art_painting, pacs:cartoon"):
        load_dataset(name, root=root)


def test_pacs_tests_on_what_its_lists_hold_out_and_on_all_of_the_others(root: Path) -> None:
    data = load_dataset("pacs:sketch", root=root)
    assert (len(data.train), len(data.val), len(data.test)) == (6, 0, 2)
    assert [len(split) for split in data.shifted.values()] == [8, 8, 8]
    assert all("n02103406" not in path.name for path in data.train.paths)  # listed, but damaged


def test_domainnet_tests_on_the_held_out_images_with_the_labels_of_its_lists(root: Path) -> None:
    data = load_dataset("domainnet:real", root=root)
    assert (len(data.train), len(data.test)) == (6, 2)
    assert {len(split) for split in data.shifted.values()} == {2}
    assert data.class_names == ("airplane", "The Eiffel Tower")


def test_lists_may_lie_beside_the_domains(root: Path) -> None:
    expected = load_dataset("domainnet:real", root=root)
    for file in (root / "domainnet/splits").iterdir():
        file.rename(root / "domainnet" / file.name)
    assert load_dataset("domainnet:real", root=root) == expected


def test_without_lists_the_source_is_divided_and_a_note_says_so(root: Path) -> None:
    shutil.rmtree(root / "pacs/splits")
    data = load_dataset("pacs:photo", root=root)
    assert "photo_train_kfold.txt is not in" in data.notes[0]
    assert "50/20/30 %" in data.notes[0]
    home = load_dataset("office_home:art", root=root)
    assert (len(home.train), len(home.val), len(home.test)) == (10, 4, 6)
    assert {len(split) for split in home.shifted.values()} == {20}
    assert "no official splits" in home.notes[0]
    assert {path.parts[-3] for path in home.shifted["real_world"].paths} == {"Real World"}


def test_a_class_that_a_training_list_lacks_keeps_its_label(root: Path) -> None:
    path = root / "domainnet/splits/painting_train.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "airplane" not in line))
    data = load_dataset("domainnet:painting", root=root)
    assert set(data.train.labels) == {1}
    with pytest.raises(
        UnsuitableError,
        match=r"painting_train\.txt.*'airplane'",
    ):
        data.few_shot(1)
    assert load_dataset("domainnet:sketch", root=root).few_shot(1).shifted["painting"]


def test_a_missing_domain_or_list_is_told(root: Path) -> None:
    (root / "pacs/splits/cartoon_crossval_kfold.txt").unlink()
    with pytest.raises(RequestError, match=r"cartoon_crossval_kfold\.txt"):
        load_dataset("pacs:photo", root=root)
    shutil.rmtree(root / "domainnet" / DOMAINNET[0])
    with pytest.raises(RequestError, match="clipart; expected clipart, "):
        load_dataset("domainnet:real", root=root)


def test_domains_of_different_classes_are_told(root: Path) -> None:
    shutil.rmtree(root / "office_home/Art/TV")
    with pytest.raises(RequestError, match="'TV'"):
        load_dataset("office_home:clipart", root=root)


@pytest.mark.parametrize("line", ["dog/1.png 1", "photo/dog/1.png x", "photo/dog/1.png 0"])
def test_a_line_that_is_none_is_told(root: Path, line: str) -> None:
    with (root / "pacs/splits/photo_train_kfold.txt").open("a") as file:
        file.write(line)
    with pytest.raises(RequestError, match=r"photo_train_kfold\.txt"):
        load_dataset("pacs:photo", root=root)
