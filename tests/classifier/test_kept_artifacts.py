"""Classifiers that earlier versions saved: every later one must still read them."""

import json
from pathlib import Path

import pytest

from crossprompt.classifier.info import inspect_onnx
from crossprompt.classifier.loading import load
from crossprompt.classifier.saving import DESCRIPTION, FORMAT
from crossprompt.inference.onnx import load_onnx
from crossprompt.methods.heads import FORMS
from tests.artifacts.keep import EXPECTED, FOLDER, keep, kept_clip, probabilities, write_picture

KEPT = sorted(path.parent for path in FOLDER.parent.glob(f"v*/*/{DESCRIPTION}"))


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_classifier_that_was_kept_answers_as_it_did(folder: Path, tmp_path: Path) -> None:
    classifier = load(folder, kept_clip())
    expected = json.loads((folder / EXPECTED).read_text("utf-8"))
    found = probabilities(classifier, write_picture(tmp_path / "picture.png"))
    assert found == pytest.approx(expected, abs=1e-4)
    assert classifier.information == {"inference": "calibrated", "metrics": {"test accuracy": 0.5}}


def test_one_of_every_form_and_of_this_format_is_kept() -> None:
    kept = [json.loads((folder / DESCRIPTION).read_text("utf-8")) for folder in KEPT]
    assert {(found["form"], found["format"]) for found in kept} >= {
        (form, FORMAT) for form in FORMS
    }


@pytest.mark.parametrize(
    "path", sorted(FOLDER.parent.glob("v*/*.onnx")), ids=lambda path: f"{path.parent.name}"
)
def test_an_exported_classifier_that_was_kept_answers_as_it_did(path: Path, tmp_path: Path) -> None:
    exported = load_onnx(path)
    expected = json.loads((path.with_suffix("") / EXPECTED).read_text("utf-8"))
    found = probabilities(exported, write_picture(tmp_path / "picture.png"))
    assert found == pytest.approx(expected, abs=0.02)  # its weights are stored in eight bits
    assert max(expected.values()) - min(expected.values()) > 0.1
    about = inspect_onnx(path)
    assert (about["method"], about["form"], about["dtype"]) == ("dcp", "static-prompts", "int8")
    assert about["metrics"] == {"test accuracy": 0.5}


def test_an_exported_classifier_of_this_format_is_kept() -> None:
    kept = [load_onnx(path).information["format"] for path in FOLDER.parent.glob("v*/*.onnx")]
    assert FORMAT in kept


def test_what_is_kept_is_never_written_again() -> None:
    assert keep(FOLDER) == []
