"""``crossprompt info``."""

import json
import shutil
from pathlib import Path

import pytest

from crossprompt.cli import main
from crossprompt.cli.info import facts, inspect
from crossprompt.description import DESCRIPTION, FROZEN, LEARNED
from crossprompt.methods import METHODS
from tests.artifacts.keep import FOLDER, KEPT
from tests.saved import rewrite


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, object]:
    assert main(["info", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_program_reads_everything(run, capsys) -> None:
    about, said = told(capsys, run), json.loads((run / DESCRIPTION).read_text("utf-8"))
    assert (about["kind"], about["form"], about["format"]) == ("classifier", "static-prompts", 1)
    assert (about["method"], about["settings"]) == ("coop", said["method"]["config"])
    assert about["paper"] == METHODS["coop"].paper
    assert about["classes"] == said["class_names"]
    assert about["backbone"] == {**said["backbone"], "licence": None}
    assert about["training"] == said["training"]
    assert about["data"] == said["data"]
    assert about["metrics"] == said["metrics"]
    assert about["versions"] == said["versions"]
    assert about["learned_from"] == len(said["learned_from"])
    sizes = {name: (run / name).stat().st_size for name in (FROZEN, LEARNED, DESCRIPTION)}
    assert about["files"] == sizes
    assert about["numbers"]["learned"] == 2 * 64
    assert (about["dtype"], about["inference"]) == ("float32", "calibrated")
    assert (about["takes_new_classes"], about["why_not"], about["exportable"]) == (True, None, True)


@pytest.mark.parametrize("name", [FROZEN, LEARNED, DESCRIPTION])
def test_a_file_of_the_classifier_stands_for_it(run, capsys, name) -> None:
    assert told(capsys, run / name) == told(capsys, run)


@pytest.mark.parametrize("name", KEPT)
def test_every_form_is_told_without_its_backbone(name) -> None:
    about = inspect(FOLDER / name)
    assert about["method"] == KEPT[name][0]
    assert about["takes_new_classes"] is (about["method"] != "tip_adapter")
    assert about["takes_new_classes"] or "every training image votes" in about["why_not"]
    lines = dict(facts(about))
    assert lines["classes"] == "4: yorkshire terrier, cat, hot air balloon, dogs"
    assert lines["measured"] == "test accuracy 0.5"
    assert lines["its licence"].startswith("not known here")


def test_a_person_sees_a_few_classes_and_no_markup(tmp_path, capsys, run) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "[red]run"))
    names = ["[bold]", "b\n", *(str(number) for number in range(98))]
    rewrite(folder, lambda x: x.update(class_names=names))
    assert main(["info", str(folder)]) == 0
    shown = "".join(capsys.readouterr().out.replace("│", "").split())
    assert "[red]run" in shown
    assert "100:[bold],b,0,1,2,3,4,5and92more" in shown
    assert "yes,withcrosspromptexport" in shown


def test_damage_is_told(tmp_path, capsys, run) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    content = bytearray((folder / FROZEN).read_bytes())
    content[-2] ^= 1
    (folder / FROZEN).write_bytes(content)
    assert main(["info", str(folder)]) == 2
    assert f"{FROZEN} is damaged or of another classifier" in capsys.readouterr().err
    rewrite(folder, lambda x: x.update(form="odd"))
    assert main(["info", str(folder)]) == 2
    assert "form is 'odd'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "found no such folder"),
        ("a.onnx", "a.onnx is no file"),
        ("a.pt2", "torch.export"),
    ],
)
def test_what_is_no_classifier_is_told(tmp_path, capsys, monkeypatch, name, said) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pt2").write_bytes(b"PK")
    assert main(["info", name]) == 2
    assert said in capsys.readouterr().err
