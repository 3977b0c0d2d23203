"""``crossprompt data check``: problems and notes about a benchmark's folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from crossprompt.data import BENCHMARKS
from crossprompt.data.benchmarks.check import Findings, check_benchmark
from tests.data.fake_benchmarks import FAKES, NAMES, put


def check(name: str, root: Path, deep: bool = False) -> Findings:
    return check_benchmark(BENCHMARKS[name], root, deep)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_with_the_published_numbers_is_fine(name: str, tmp_path: Path) -> None:
    FAKES[name](tmp_path)
    found = check(name, tmp_path)
    assert found.classes == len(NAMES[name])
    assert set(found.sizes) >= set(BENCHMARKS[name].sizes)
    assert all("published" in problem for problem in found.problems)
    entry = replace(BENCHMARKS[name], classes=found.classes, sizes=found.sizes)
    fine = check_benchmark(entry, tmp_path, deep=True)
    assert fine.problems == ()
    assert json.loads(json.dumps(fine.to_json()))["fine"]


@pytest.mark.parametrize("name", ["imagenet", "imagenet_r", "dtd", "fgvc_aircraft", "pacs"])
def test_half_an_archive_is_told(name: str, tmp_path: Path) -> None:
    FAKES[name](tmp_path)
    found = check(name, tmp_path)
    entry = replace(BENCHMARKS[name], classes=found.classes, sizes=found.sizes)
    assert found.place is not None
    images = [
        p for p in found.place.images.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]
    for path in sorted(images)[1::2]:
        path.unlink()
    again = check_benchmark(entry, tmp_path)
    assert any("missing" in x or "published" in x for x in again.problems)
    assert sum(again.sizes.values()) < sum(found.sizes.values())


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    found = check(name, tmp_path)
    folder, _ = BENCHMARKS[name].places[0]
    assert f"not in {tmp_path}" in found.problems[0]
    assert folder in found.problems[0]
    assert found.place is None
    assert not json.loads(json.dumps(found.to_json()))["fine"]


def test_a_missing_split_file_is_wrong_and_told_with_where_to_get_it(tmp_path: Path) -> None:
    FAKES["eurosat"](tmp_path)
    (tmp_path / "eurosat/split_zhou_EuroSAT.json").unlink()
    (problem, *_) = check("eurosat", tmp_path).problems
    assert "split_zhou_EuroSAT.json is not in" in problem
    assert "DATASETS.md" in problem


def test_an_empty_test_split_is_told(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    path = tmp_path / "dtd/split_zhou_DescribableTextures.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "test": []}))
    assert "test: 0 images found, 1,692 published" in check("dtd", tmp_path).problems


def test_a_flat_val_folder_is_told(tmp_path: Path) -> None:
    FAKES["imagenet"](tmp_path)
    shutil.rmtree(tmp_path / "imagenet/images/val")
    put(tmp_path / "imagenet/images/val", ["ILSVRC2012_val_00000001.JPEG"])
    assert "val" in check("imagenet", tmp_path).problems[0]


def test_images_that_the_split_names_and_that_are_not_there_are_counted(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    shutil.rmtree(tmp_path / "dtd/images/banded")
    found = check("dtd", tmp_path)
    assert "8 of 16 images are missing: " in found.problems[0]
    assert found.sizes == {"train": 4, "val": 2, "test": 2}


def test_a_damaged_image_is_found_by_opening_it(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    (tmp_path / "dtd/images/banded/1.jpg").write_bytes(b"")
    assert not any("cannot be read" in x for x in check("dtd", tmp_path).problems)
    *_, problem = check("dtd", tmp_path, deep=True).problems
    assert problem.startswith("1 images cannot be read:\n")
    assert "1.jpg: the file is empty" in problem


def test_the_data_set_s_own_folder_as_root_is_told(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    (problem,) = check("dtd", tmp_path / "dtd").problems
    assert f"holds dtd: give {tmp_path}" in problem


def test_all_domains_are_checked(tmp_path: Path) -> None:
    FAKES["pacs"](tmp_path)
    (tmp_path / "pacs/images/photo/dog/0.png").unlink()
    found = check("pacs", tmp_path)
    assert found.sizes == {"art_painting": 8, "cartoon": 8, "photo": 7, "sketch": 8}
    assert "cartoon: 8 images found, 2,344 published" in found.problems
    sizes = {**found.sizes, "photo": 8, "sketch": 9}  # the damaged image counts or does not
    entry = replace(BENCHMARKS["pacs"], classes=2, sizes=sizes)
    assert not any("published" in x for x in check_benchmark(entry, tmp_path).problems)
    entry = replace(entry, sizes={**sizes, "sketch": 10})
    assert "sketch: 8 images found, 10 published" in check_benchmark(entry, tmp_path).problems
    entry = replace(entry, sizes={**sizes, "cartoon": 9})  # where none is damaged
    assert "cartoon: 8 images found, 9 published" in check_benchmark(entry, tmp_path).problems
    FAKES["office_home"](tmp_path)
    assert check("office_home", tmp_path).notes[0].startswith("there are no official splits")
