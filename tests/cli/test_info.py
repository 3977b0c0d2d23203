"""``crossprompt info``."""

import json
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from crossprompt import load
from crossprompt.classifier.export import export_classifier
from crossprompt.cli import main
from crossprompt.cli.info import facts, inspect
from crossprompt.inference.metadata import DESCRIPTION, EXTRA, FROZEN, LARGEST, LEARNED
from crossprompt.methods import METHODS
from tests.artifacts.keep import FOLDER, KEPT
from tests.saved import rewrite


def read(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, object]:
    assert main(["info", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_program_reads_everything(run, capsys) -> None:
    about, saved = read(capsys, run), json.loads((run / DESCRIPTION).read_text("utf-8"))
    assert (about["kind"], about["form"], about["format"]) == ("classifier", "static-prompts", 1)
    assert (about["method"], about["settings"]) == ("coop", saved["method"]["config"])
    assert about["paper"] == METHODS["coop"].paper
    assert about["classes"] == saved["class_names"]
    assert about["backbone"] == {**saved["backbone"], "licence": None}
    assert about["training"] == saved["training"]
    assert about["data"] == saved["data"]
    assert about["metrics"] == saved["metrics"]
    assert about["versions"] == saved["versions"]
    assert about["learned_from"] == len(saved["learned_from"])
    sizes = {name: (run / name).stat().st_size for name in (FROZEN, LEARNED, DESCRIPTION)}
    assert about["files"] == sizes
    assert about["numbers"]["learned"] == 2 * 64
    assert (about["dtype"], about["inference"]) == ("float32", "calibrated")
    assert (about["takes_new_classes"], about["why_not"], about["exportable"]) == (True, None, True)


@pytest.mark.parametrize("name", [FROZEN, LEARNED, DESCRIPTION])
def test_a_file_of_the_classifier_stands_for_it(run, capsys, name) -> None:
    assert read(capsys, run / name) == read(capsys, run)


@pytest.mark.parametrize("name", KEPT)
def test_every_form_is_read_without_its_backbone(name) -> None:
    about = inspect(FOLDER / name)
    assert about["method"] == KEPT[name][0]
    assert about["takes_new_classes"] is (about["method"] != "tip_adapter")
    assert about["takes_new_classes"] or "every training image votes" in about["why_not"]
    lines = dict(facts(about))
    assert lines["classes"] == "4: 'yorkshire terrier', 'cat', 'hot air balloon', 'dogs'"
    assert lines["measured"] == "test accuracy 0.5"
    assert lines["its license"].startswith("unknown")


def test_a_person_sees_a_few_classes_and_no_markup(tmp_path, capsys, run) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "[red]run"))
    names = ["[bold]", "b, c", *(str(number) for number in range(98))]
    rewrite(folder, lambda x: x.update(class_names=names))
    assert main(["info", str(folder)]) == 0
    shown = "".join(capsys.readouterr().out.replace("│", "").split())
    assert "[red]run" in shown
    assert "100:'[bold]','b,c','0','1','2','3','4','5','6','7'and90more" in shown


def test_a_person_sees_the_classes_it_was_trained_with_before_it_took_others(
    tmp_path, capsys, run
) -> None:
    load(run).with_classes(["tabby", "red cat"]).save(tmp_path / "others")
    lines = dict(facts(inspect(tmp_path / "others")))
    assert lines["classes"] == "2: 'tabby', 'red cat'"
    assert lines["trained with"] == dict(facts(inspect(run)))["classes"]
    assert "trained with" not in dict(facts(inspect(run)))


def test_nothing_in_a_classifier_is_a_command_to_the_terminal(tmp_path, capsys, run) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    rewrite(folder, lambda x: x.update(class_names=["a\x1b[2J", "b\x07", "c\x9b", "\N{CAT}é"]))
    assert main(["info", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "'a\\x1b[2J', 'b\\x07', 'c\\x9b', '\N{CAT}é'" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


@pytest.mark.slow
def test_a_torch_program_is_read(tmp_path, capsys, run) -> None:
    path = tmp_path / "photos.pt2"
    export_classifier(load(run, device="cpu", dtype="fp32"), path, form="torch")
    about, original = read(capsys, path), read(capsys, run)
    assert (about["kind"], about["dtype"]) == ("exported torch program", "fp32")
    assert about["files"] == {path.name: path.stat().st_size}
    same = ("method", "settings", "classes", "backbone", "training", "data", "metrics", "versions")
    assert [about[key] for key in same] == [original[key] for key in same]
    assert (about["takes_new_classes"], about["exportable"]) == (False, False)


def test_damage_is_reported(tmp_path, capsys, run) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    content = bytearray((folder / FROZEN).read_bytes())
    content[-2] ^= 1
    (folder / FROZEN).write_bytes(content)
    assert main(["info", str(folder)]) == 2
    assert FROZEN in capsys.readouterr().err
    for change, value in (
        ({"form": "odd"}, "'odd'"),
        ({"method": {"name": "coop", "config": {"lenght": 2}}}, "'lenght'"),
        ({"method": {"name": "cop", "config": {}}}, "'cop'"),
        ({"class_names": ["a", "a"]}, "'a'"),
    ):
        rewrite(folder, lambda x, change=change: x.update(change))
        assert main(["info", str(folder)]) == 2
        message = capsys.readouterr().err
        assert str(folder / DESCRIPTION) in message
        assert value in message


@pytest.mark.parametrize("name", ["nowhere", "a.onnx", "b.pt2", "a.pt2", "c.pt2", "d.pt2", "e.pt2"])
def test_what_is_no_classifier_is_named(tmp_path, capsys, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pt2").write_bytes(b"PK")
    files = {"c.pt2": ("x", ""), "d.pt2": (EXTRA, "{}"), "e.pt2": (EXTRA, " " * (LARGEST + 1))}
    for path, (inside, content) in files.items():
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr(f"archive/extra/{inside}", content)
    assert main(["info", name]) == 2
    message = capsys.readouterr().err
    assert name in message
    assert message.count("\n") == 1
