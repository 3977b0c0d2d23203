"""Every benchmark data set, from its layout in miniature. The table is the test matrix."""

import shutil
import tomllib
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path

import pytest

import crossprompt.data.benchmarks
from crossprompt.data import BENCHMARKS, DATASETS, Dataset, load_dataset
from crossprompt.data.benchmarks.catalog import Benchmark, load_benchmark
from crossprompt.data.benchmarks.check import draw_tree
from crossprompt.errors import RequestError
from tests.data.fake_benchmarks import FAKES, NAMES

TEST_ONLY = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
PAGE = Path(__file__).parents[3] / "docs/datasets.md"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, not to be changed."""
    root = tmp_path_factory.mktemp("data")
    for fake in FAKES.values():
        fake(root)
    return root


def load(name: str, root: Path) -> Dataset:
    """With the first domain, where there are several."""
    domains = BENCHMARKS[name].domains
    return load_dataset(f"{name}:{domains[0]}" if domains else name, root=root)


def test_every_field_of_the_catalog_is_known() -> None:
    known = {field.name for field in fields(Benchmark)}
    path = Path(crossprompt.data.benchmarks.__file__).with_name("catalog.toml")
    for entry in tomllib.loads(path.read_text("utf-8")).values():
        assert entry.keys() <= known


def test_every_benchmark_has_a_fake_and_a_loader() -> None:
    assert FAKES.keys() == NAMES.keys() == BENCHMARKS.keys()
    assert BENCHMARKS.keys() <= DATASETS.keys()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_is_loaded_from_the_layout_it_has_on_disk(name: str, root: Path) -> None:
    data = load(name, root)
    assert data.name.partition(":")[0] == name
    assert data.class_names == NAMES[name]
    for split in data.splits.values():
        assert all(path.is_file() for path in split.paths)
    assert set(data.test.labels) == set(range(len(data.class_names)))
    assert bool(data.train) == (name not in TEST_ONLY)
    assert list(data.shifted) == list(BENCHMARKS[name].domains[1:])
    for one, other in combinations(data.splits.values(), 2):
        assert not set(one.paths) & set(other.paths)
    assert data.template.count("{}") == 1
    assert data.root is not None
    assert data.root.is_relative_to(root)


@pytest.mark.parametrize("name", sorted(BENCHMARKS.keys() - set(TEST_ONLY)))
def test_a_few_shot_set_holds_every_class(name: str, root: Path) -> None:
    data = load(name, root)
    few = data.few_shot(2)
    assert sorted(few.train.labels) == sorted(2 * list(range(len(data.class_names))))


@pytest.mark.parametrize("name", ["imagenet", "dtd", "pacs"])
def test_loading_leaves_the_folder_as_it_was(name: str, tmp_path: Path) -> None:
    FAKES[name](tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    load(name, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", BENCHMARKS)
def test_numbers_that_are_not_the_published_ones_are_told(name: str, root: Path) -> None:
    notes = load(name, root).notes
    found, published = len(NAMES[name]), BENCHMARKS[name].classes
    assert f"classes: {found} found, {published:,} published" in notes


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_is_not_there_is_told_with_the_command_that_explains(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError) as raised:
        load(name, tmp_path)
    assert BENCHMARKS[name].title in str(raised.value)
    assert f"crossprompt data check {name} --root {tmp_path}" in str(raised.value)


@pytest.mark.parametrize("name", [n for n, entry in BENCHMARKS.items() if entry.places[1:]])
def test_every_place_that_is_in_use_is_found(name: str, tmp_path: Path) -> None:
    FAKES[name](tmp_path)
    expected = load(name, tmp_path)
    (folder, images), *others = BENCHMARKS[name].places
    for other, its_images in others:
        goal = tmp_path / other
        moved = tmp_path / "moved"
        (tmp_path / folder).rename(moved)
        if its_images != images:  # what else lies in the image folder's parent goes with it
            inner = moved / images
            if its_images:
                inner.rename(moved / its_images)
            else:
                shutil.copytree(inner, moved, dirs_exist_ok=True)
                shutil.rmtree(inner) if images else None
        goal.parent.mkdir(exist_ok=True)
        moved.rename(goal)
        assert load(name, tmp_path).fingerprint == expected.fingerprint
        shutil.rmtree(tmp_path / other.partition("/")[0])
        FAKES[name](tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_page_about_data_sets_tells_of_each(name: str) -> None:
    text = PAGE.read_text("utf-8")
    section = text.partition(f"\n### `{name}`")[2].partition("\n### ")[0]
    entry = BENCHMARKS[name]
    for told in (entry.title, entry.url, entry.terms, draw_tree(entry)):
        assert told in section


def test_the_root_may_come_from_the_variable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSPROMPT_DATA", str(root))
    assert load_dataset("dtd").root == root / "dtd/images"
    monkeypatch.delenv("CROSSPROMPT_DATA")
    with pytest.raises(RequestError, match=r"root.*CROSSPROMPT_DATA"):
        load_dataset("dtd")


def test_a_folder_of_a_benchmark_s_name_is_hinted_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CROSSPROMPT_DATA", raising=False)
    (tmp_path / "dtd").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=r"\./dtd"):
        load_dataset("dtd")


def test_the_data_set_s_own_folder_is_no_root(root: Path) -> None:
    with pytest.raises(RequestError, match=rf"give {root}"):
        load_dataset("dtd", root=root / "dtd")


@pytest.mark.parametrize("name", [x for x, entry in BENCHMARKS.items() if entry.split_file])
def test_a_missing_split_file_is_named_with_where_to_get_it(name: str, tmp_path: Path) -> None:
    FAKES[name](tmp_path)
    path = tmp_path / BENCHMARKS[name].places[0][0] / BENCHMARKS[name].split_file
    path.unlink()
    with pytest.raises(RequestError, match=rf"{path.name}.*{path.parent}.*DATASETS\.md"):
        load(name, tmp_path)


def test_a_missing_image_that_the_split_names_is_told(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    for path in (tmp_path / "dtd/images/banded").iterdir():
        path.unlink()
    with pytest.raises(RequestError, match=r"8 of 16 .*banded"):
        load_dataset("dtd", root=tmp_path)


def test_classes_stay_in_the_order_of_the_split_file(root: Path) -> None:
    data = load_dataset("oxford_flowers", root=root)
    assert list(dict.fromkeys(data.train.labels)) == [2, 0, 1]
    assert list(dict.fromkeys(data.few_shot(1).train.labels)) == [2, 0, 1]


def test_published_numbers_leave_no_note(root: Path) -> None:
    entry = replace(BENCHMARKS["dtd"], classes=2, sizes={"train": 8, "val": 4, "test": 4})
    assert load_benchmark(entry, root).notes == ()
