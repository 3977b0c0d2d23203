"""``crossprompt evaluate``."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from crossprompt import load_dataset
from crossprompt.cli import main
from crossprompt.data import list_images
from tests.conftest import write_photos


@pytest.fixture
def evaluate(run: Path, capsys: pytest.CaptureFixture[str]):
    """Evaluates and reads the JSON."""

    def answer(data: Path, *more: str) -> dict[str, Any]:
        assert main(["evaluate", str(run), str(data), "--json", *more]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return answer


def test_what_the_fit_held_out_is_measured_again(evaluate, run, photos) -> None:
    found = evaluate(photos)
    assert found["results"]["test"]["n"] == 9
    assert found["images"].startswith("Evaluated on the 9 images of photos that were held out")
    metrics = json.loads((run / "classifier.json").read_text())["metrics"]
    assert found["results"]["test"]["accuracy"] == metrics["test accuracy"]


def test_all_images_are_measured_on_request(evaluate, photos) -> None:
    assert evaluate(photos, "--all-images")["results"]["test"]["n"] == 30


def test_another_folder_is_measured_whole_and_may_have_fewer_classes(evaluate, tmp_path) -> None:
    # in another order than the classifier's: 'yorkshire terrier' is its last class, and 0 here
    new = write_photos(tmp_path / "new", classes=("yorkshire_terrier",), images=5)
    found = evaluate(new)
    assert found["images"] == "Evaluated on all 5 images of new."
    assert list(found["results"]["test"]["per_class"]) == ["yorkshire terrier"]
    assert sum(found["results"]["test"]["confusion"][2]) == 5


def test_a_person_sees_a_table_and_which_images_were_used(run, photos, capsys) -> None:
    assert main(["evaluate", str(run), str(photos), "--per-class"]) == 0
    shown = capsys.readouterr().out
    assert "Evaluated on the 9 images of photos" in shown
    assert "macro F1 %" in shown
    assert "hot air balloon" in shown


def test_folders_of_other_names_are_matched_by_a_file_of_names(
    evaluate, run, tmp_path, capsys
) -> None:
    new = write_photos(tmp_path / "new", classes=("terrier",), images=2)
    assert main(["evaluate", str(run), str(new)]) == 2
    assert "'terrier'" in capsys.readouterr().err
    (tmp_path / "names.txt").write_text("terrier: yorkshire terrier\n")
    found = evaluate(new, "--class-names", str(tmp_path / "names.txt"))
    assert found["results"]["test"]["n"] == 2


def test_bad_images_are_listed_or_left_out(evaluate, run, tmp_path, capsys) -> None:
    write_photos(tmp_path / "new", images=9)
    bad = tmp_path / "new" / "cat" / "1.png"
    bad.write_bytes(b"")
    assert main(["evaluate", str(run), str(tmp_path / "new")]) == 2
    assert str(bad) in capsys.readouterr().err
    found = evaluate(tmp_path / "new", "--skip-bad-images")
    assert found["results"]["test"]["n"] == 26
    assert "all 26 images" in found["images"]
    for other in (tmp_path / "new").rglob("*.png"):
        other.write_bytes(b"")
    assert main(["evaluate", str(run), str(tmp_path / "new"), "--skip-bad-images"]) == 2
    assert "new" in capsys.readouterr().err


def test_only_the_images_that_are_measured_are_read(evaluate, photos, tmp_path) -> None:
    same = tmp_path / "photos"
    shutil.copytree(photos, same)
    few = load_dataset(same).few_shot(2)
    used = {*few.train.paths, *few.val.paths, *few.test.paths}
    next(path for path in list_images(same) if path not in used).write_bytes(b"damaged")
    found = evaluate(same, "--batch-size", "4")
    assert (found["results"]["test"]["n"], found["results"]["test"]["batch_size"]) == (9, 4)
