"""``crossprompt explain``."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from crossprompt.cli import main


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_image_is_drawn_and_reported_and_a_bad_one_is_an_error(
    run, photos, tmp_path, capsys
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    images = [str(photos / "cat" / "0.png"), str(photos / "hot_air_balloon" / "0.png"), "bad.png"]
    assert main(["explain", str(run), *images, "--output", "out", "--json", "--class", "cat"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert [image["path"] for image in shown["images"]] == images
    assert [image.get("picture") for image in shown["images"]] == [
        "out/0.png",
        "out/0-2.png",
        None,
    ]
    assert shown["images"][0]["label"] == shown["images"][1]["label"] == "cat"
    assert "not an image" in shown["images"][2]["error"]
    with Image.open("out/0-2.png") as picture:
        assert picture.width > 600
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0-2.png", "0.png"]
    assert [len(row) for row in shown["words"]["text_prompt"]] == [3, 3]


def test_no_picture_takes_the_place_of_another(run, photos, tmp_path, capsys) -> None:
    content = (photos / "cat" / "0.png").read_bytes()
    paths = [tmp_path / name for name in ("a/0.png", "b/0.png", "c/0-2.png", "d/0.PNG")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(content)
    assert main(["explain", str(run), *map(str, paths), "--output", "out", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["images"]
    names = ["0.png", "0-2.png", "0-2-2.png", "0-3.png"]
    assert [Path(image["picture"]).name for image in shown] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_pictures_stay_apart_where_upper_and_lower_case_are_one_file(run, photos, tmp_path) -> None:
    for name in ("a", "A"):
        (tmp_path / name).mkdir()
        shutil.copy(photos / "cat" / "0.png", tmp_path / name / f"{name}.png")
    arguments = ["explain", str(run), str(tmp_path / "a" / "a.png"), str(tmp_path / "A" / "A.png")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "A-2.png"}


def test_no_image_is_replaced_by_its_picture(run, photos, tmp_path, capsys) -> None:
    content = (photos / "cat" / "0.png").read_bytes()
    (tmp_path / "mine.png").write_bytes(content)
    assert main(["explain", str(run), "mine.png", "--output", "."]) == 2
    shown = capsys.readouterr().err
    assert "mine.png" in shown
    assert (tmp_path / "mine.png").read_bytes() == content


def test_a_person_sees_where_the_picture_is_and_a_table(run, photos, capsys) -> None:
    picture = str(photos / "cat" / "0.png")
    assert main(["explain", str(run), picture, "--words", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{picture}: ")
    assert "% drawn in explained/0.png" in out.replace(" %,", " %")
    assert "text_prompt" in out
    assert "…" in out


def test_without_images_there_are_the_words_and_no_folder(run, tmp_path, capsys) -> None:
    assert main(["explain", str(run)]) == 0
    assert "text_prompt" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_class_is_refused_and_leaves_no_empty_folder(
    run, photos, tmp_path, capsys
) -> None:
    picture = str(photos / "cat" / "0.png")
    assert main(["explain", str(run), picture, "--output", "out", "--class", "dragon"]) == 2
    assert "'dragon'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
