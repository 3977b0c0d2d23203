import os
from pathlib import Path
from typing import Any

import pytest
import torch

import crossprompt.classifier.saving
from crossprompt.classifier.loading import load
from crossprompt.classifier.saving import CARD, DESCRIPTION, FROZEN, LEARNED
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from tests.backbone import even_clip, random_images, write_items
from tests.saved import classify

FILES = {DESCRIPTION, FROZEN, LEARNED, CARD}


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder: Path = tmp_path_factory.mktemp("images")
    return write_items(folder, [0, 1, 2, 3])


@pytest.fixture
def folder(clip: CLIP, items: list[Item], tmp_path: Path) -> Path:
    """Folder of an earlier classifier."""
    return classify(clip, items).save(tmp_path / "run")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("failing", range(1, 9))
def test_a_failure_while_files_take_their_place_leaves_the_earlier_classifier_whole(
    folder: Path, clip: CLIP, items: list[Item], monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    (folder / "run.json").write_text("of somebody else")
    before, calls, replace = everything(folder), 0, os.replace

    def fail(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        classify(clip, items, seed=2).save(folder)
    assert calls >= failing
    monkeypatch.undo()
    assert everything(folder) == before
    load(folder, clip)


@pytest.mark.parametrize("failing", ["to_bytes", "card_text"])
def test_a_failure_while_writing_leaves_the_earlier_classifier_whole(
    folder: Path, clip: CLIP, items: list[Item], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("disk full")

    before = everything(folder)
    monkeypatch.setattr(crossprompt.classifier.saving, failing, fail)
    with pytest.raises(OSError, match="disk full"):
        classify(clip, items, seed=2).save(folder)
    assert everything(folder) == before


def test_a_failed_first_save_leaves_nothing_that_looks_like_a_classifier(
    clip: CLIP, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def fail(source: Path, target: Path) -> None:
        if target.name == DESCRIPTION:
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        classify(clip, items).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_an_earlier_classifier_and_nothing_else(
    folder: Path, clip: CLIP, items: list[Item]
) -> None:
    (folder / "run.json").write_text("of somebody else")
    (folder / ".saving").mkdir()  # of a process that was killed
    (folder / ".saving" / FROZEN).write_text("half")
    other, images = classify(clip, items, "coop"), random_images(2)
    other.save(folder)
    assert torch.equal(load(folder, clip).logits(images), other.logits(images))
    assert {path.name for path in folder.iterdir()} == {*FILES, "run.json"}
