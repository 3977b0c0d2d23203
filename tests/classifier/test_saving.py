import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.loading import load
from crossprompt.classifier.saving import CARD, DESCRIPTION, FROZEN, LEARNED
from crossprompt.clip.load import load_clip, save_clip
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS, build_method
from tests.backbone import EVEN, NAMES, even_clip, random_images, write_items
from tests.clip.random_clip import make_clip
from tests.methods.cases import Case, cases
from tests.saved import classify, train


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder: Path = tmp_path_factory.mktemp("images")
    return write_items(folder, [0, 1, 2, 3])


@pytest.fixture(scope="module")
def saved(
    clip: CLIP, items: list[Item], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Classifier, Path]:
    classifier = classify(clip, items)
    return classifier, classifier.save(tmp_path_factory.mktemp("saved"))


@cases()
def test_a_loaded_classifier_gives_the_same_logits_bit_for_bit(
    case: Case, clip: CLIP, items: list[Item], tmp_path: Path
) -> None:
    method = train(case.build(clip), clip, items)
    information = {"data": {"shots": 4}, "metrics": {"accuracy": 0.5}}
    classifier = freeze(method, clip, items, information=information)
    assert classifier.save(tmp_path / "deep" / "folder") == tmp_path / "deep" / "folder"
    loaded, images = load(tmp_path / "deep" / "folder", clip), random_images(5)
    assert torch.equal(loaded.logits(images), classifier.logits(images))
    assert loaded.class_names == NAMES
    assert loaded.information == {**information, "inference": "calibrated"}
    assert type(loaded.method) is type(method)
    assert loaded.method.config == method.config
    found = loaded.method.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in method.state_dict().items())
    names = {path.name for path in (tmp_path / "deep" / "folder").iterdir()}
    assert names == {DESCRIPTION, FROZEN, LEARNED, CARD}


def test_the_backbone_is_loaded_by_its_name(items: list[Item], tmp_path: Path) -> None:
    save_clip(even_clip(), tmp_path / "clip")
    clip = load_clip(tmp_path / "clip")
    classifier, images = classify(clip, items), random_images(2)
    classifier.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert loaded.clip is not clip
    assert torch.equal(loaded.logits(images), classifier.logits(images))
    assert load(tmp_path / "run", dtype=torch.bfloat16).clip.dtype == torch.bfloat16
    shutil.rmtree(tmp_path / "clip")
    with pytest.raises(RequestError, match=r"run .*--backbone"):
        load(tmp_path / "run")


@pytest.mark.parametrize("name", METHODS)
def test_loading_trains_calibrates_and_encodes_nothing(
    name: str, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(EVEN)
    classify(clip, items, name).save(tmp_path)

    def refuse(*arguments: Any) -> None:
        raise AssertionError("this is not for loading")

    for what in ("prepare", "freeze", "loss", "forward"):
        monkeypatch.setattr(METHODS[name], what, refuse)
    for module in clip.modules():
        module.register_forward_pre_hook(refuse)
    load(tmp_path, clip)


def test_class_names_may_hold_any_characters(clip: CLIP, items: list[Item], tmp_path: Path) -> None:
    names = [
        "café ☕ 日本",
        'a/b\\c "quoted" {} <b>',
        "new\nline\ttab",
        "C++ - #1: yes\u2028no 🐈‍⬛",
    ]
    for name in ("dcp", "tip_adapter"):
        method = train(build_method(name, clip, names), clip, items)
        classifier, images = freeze(method, clip, items), random_images(2)
        loaded = load(classifier.save(tmp_path / name), clip)
        assert loaded.class_names == tuple(names)
        assert torch.equal(loaded.logits(images), classifier.logits(images))
        card = (tmp_path / name / CARD).read_text("utf-8")
        assert "- café ☕ 日本\n" in card
        assert "- new line tab\n" in card


def test_others_may_read_what_the_umask_lets_them(
    saved: tuple[Classifier, Path], tmp_path: Path
) -> None:
    (tmp_path / "usual").write_text("x")
    usual = (tmp_path / "usual").stat().st_mode
    assert [path.name for path in saved[1].iterdir() if path.stat().st_mode != usual] == []


def test_saving_in_a_files_place_is_an_error(
    saved: tuple[Classifier, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RequestError, match=str(tmp_path / "file")):
        saved[0].save(tmp_path / "file")


def test_ones_own_notes_are_left_alone_and_an_older_card_is_not(
    saved: tuple[Classifier, Path], tmp_path: Path
) -> None:
    notes, classifier = tmp_path / "README.md", saved[0]
    classifier.save(tmp_path / "other")
    assert "crossprompt" in (tmp_path / "other" / "README.md").read_text()
    for text in ("My library_name: crossprompt is old.", "# Notes"):
        notes.write_text(text)
        assert load(classifier.save(tmp_path), classifier.clip).class_names == NAMES
        assert notes.read_text() == text
    notes.write_bytes((tmp_path / "other" / "README.md").read_bytes() + b"more")
    classifier.save(tmp_path)
    assert notes.read_bytes() == (tmp_path / "other" / "README.md").read_bytes()


def test_information_that_has_our_own_keys_is_an_error(
    clip: CLIP, items: list[Item], tmp_path: Path
) -> None:
    method = build_method("coop", clip, NAMES)
    classifier = freeze(method, clip, items, information={"class_names": ["a"], "format": 9})
    with pytest.raises(RequestError, match="class_names, format"):
        classifier.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_information_of_any_type_is_saved(clip: CLIP, items: list[Item], tmp_path: Path) -> None:
    method = build_method("coop", clip, NAMES)
    classifier = freeze(method, clip, items, information={"data": {"root": tmp_path}})
    assert load(classifier.save(tmp_path / "run"), clip).information["data"] == {
        "root": str(tmp_path)
    }


def test_options_for_a_backbone_that_is_given_are_an_error(
    saved: tuple[Classifier, Path], clip: CLIP
) -> None:
    with pytest.raises(RequestError, match="device"):
        load(saved[1], clip, device="cpu")


def test_the_description_records_how_it_was_made(saved: tuple[Classifier, Path]) -> None:
    found = json.loads((saved[1] / DESCRIPTION).read_text("utf-8"))
    assert found["format"] == 1
    assert found["form"] == "static-prompts"
    assert found["method"]["name"] == "dcp"
    assert found["method"]["config"] == saved[0].method.config.to_json()
    assert found["backbone"] == {"name": "random", "weights": "none"}
    assert found["class_names"] == list(NAMES)
    assert set(found["versions"]) == {"crossprompt", "torch", "safetensors"}


def test_the_tensors_are_those_of_the_format(saved: tuple[Classifier, Path]) -> None:
    frozen = load_file(saved[1] / FROZEN)
    prompts = {f"{tower}_prompt_{depth}" for tower in ("image", "text") for depth in range(3)}
    assert set(frozen) == {*prompts, "class_weights", "scale", "bias"}
    assert set(load_file(saved[1] / LEARNED)) == set(saved[0].method.state_dict())


def test_what_was_loaded_does_not_change_with_its_files(
    saved: tuple[Classifier, Path], clip: CLIP, tmp_path: Path
) -> None:
    folder = shutil.copytree(saved[1], tmp_path / "run")
    loaded, images = load(folder, clip), random_images(2)
    expected = saved[0].method.state_dict()
    for name in (FROZEN, LEARNED):
        with (folder / name).open("r+b") as file:
            file.seek(-64, 2)
            file.write(bytes(64))
    found = loaded.method.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in expected.items())
    assert torch.equal(loaded.logits(images), saved[0].logits(images))
