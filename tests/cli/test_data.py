"""``crossprompt data``."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from crossprompt.cli import main
from crossprompt.data import BENCHMARKS
from tests.data.fake_benchmarks import FAKES


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Textures as published, were they as few."""
    monkeypatch.delenv("CROSSPROMPT_DATA", raising=False)
    FAKES["dtd"](tmp_path)
    entry = replace(BENCHMARKS["dtd"], classes=2, sizes={"train": 8, "val": 4, "test": 4})
    monkeypatch.setitem(BENCHMARKS, "dtd", entry)
    return tmp_path


def test_the_list_says_of_every_benchmark_what_it_is_and_whether_it_is_found(
    root: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["data", "list", "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, entry in BENCHMARKS.items():
        (line,) = [line for line in lines if f"│ {name} " in line]
        _, _, classes, images, gigabytes, found, _ = (cell.strip() for cell in line.split("│"))
        assert int(classes.replace(",", "")) == entry.classes
        test = entry.images if entry.domains else entry.sizes["test"]
        assert f"{test:,}" in images
        assert gigabytes == ("" if entry.archives_gb is None else f"{entry.archives_gb:g}")
        assert found == ("yes" if name == "dtd" else "no")
    assert f"  crossprompt data check NAME --root {root}" in lines


def test_the_list_reads_well_at_80_columns(root: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["data", "list", "--root", "."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("│" in line for line in lines) == len(BENCHMARKS)  # none is wrapped
    text = " ".join(" ".join(lines).split())
    for entry in BENCHMARKS.values():
        assert re.search(rf"{re.escape(entry.terms)}: [\w, ]*\b{entry.name}\b", text)


def test_the_list_as_json(root: Path, capsys) -> None:
    assert main(["data", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed.keys() == BENCHMARKS.keys()
    assert listed["dtd"]["found"] is None
    assert main(["data", "list", "--json", "--root", str(root)]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert (listed["dtd"]["found"], listed["pacs"]["found"]) == (True, False)
    assert listed["dtd"]["sizes"] == {"train": 8, "val": 4, "test": 4}
    assert listed["dtd"]["folder"] == str(root / "dtd")
    assert listed["imagenet"]["archives_gb"] == 144
    assert listed["dtd"]["archives_gb"] is None


def test_without_a_root_the_list_says_how_to_look_for_them(root: Path, capsys) -> None:
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert "--root or CROSSPROMPT_DATA" in shown
    assert "found" not in shown


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_data_set_that_is_fine_is_exit_code_0(root: Path, deep, capsys) -> None:
    assert main(["data", "check", "dtd", "--root", str(root), *deep]) == 0
    assert "Describable Textures is complete and in its place." in capsys.readouterr().out


def test_the_variable_says_where_the_data_sets_are(root: Path, monkeypatch, capsys) -> None:
    assert main(["data", "check", "dtd"]) == 2
    assert "--root or CROSSPROMPT_DATA" in capsys.readouterr().err
    monkeypatch.setenv("CROSSPROMPT_DATA", str(root))
    assert main(["data", "check", "dtd"]) == 0


def test_what_is_wrong_is_exit_code_1_with_where_to_get_it_and_how_it_should_look(
    root: Path, capsys
) -> None:
    (root / "dtd/images/banded/1.jpg").unlink()
    assert main(["data", "check", "dtd", "--root", str(root)]) == 1
    out = capsys.readouterr().out
    assert "  - 1 of 16 images are missing: " in out
    assert "Images: https://www.robots.ox.ac.uk/~vgg/data/dtd/" in out
    assert "split_zhou_DescribableTextures.json: https://github.com/KaiyangZhou" in out
    assert "  dtd/\n  ├── images/\n  │   └── banded/\n" in out


def test_a_folder_that_is_not_there_is_told_without_a_table(root: Path, capsys) -> None:
    assert main(["data", "check", "pacs:photo", "--root", str(root)]) == 1
    out = capsys.readouterr().out
    assert "published" not in out
    assert "  pacs/\n  ├── images/" in out


def test_the_findings_as_json(root: Path, capsys) -> None:
    assert main(["data", "check", "dtd", "--root", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["fine"], found["problems"]) == ("dtd", True, [])
    assert found["sizes"]["train"] == {"found": 8, "published": 8}
    assert main(["data", "check", "food101", "--root", str(root), "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["fine"]


def test_notes_are_shown(root: Path, capsys) -> None:
    FAKES["office_home"](root)
    assert main(["data", "check", "office_home", "--root", str(root)]) == 1
    assert "note: there are no official splits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["data"], "list|check"),
        (["data", "check"], "required: name"),
        (["data", "check", "dtt"], "did you mean 'dtd'?"),
        (["data", "check", "emoji"], "'emoji'"),
        (["data", "check", "."], "'.'"),
        (["data", "list", "--root", "nowhere"], "nowhere"),
        (["data", "check", "dtd", "--dep"], "did you mean --deep?"),
    ],
)
def test_a_wrong_request_is_exit_code_2(root: Path, arguments, named, capsys) -> None:
    assert main(arguments) == 2
    assert named in capsys.readouterr().err


@pytest.mark.slow
def test_a_benchmark_can_be_fitted_and_evaluated(root: Path, backbone: str, capsys) -> None:
    arguments = ["--root", str(root), "--backbone", backbone]
    run = root / "run"
    fit = ["fit", "dtd", *arguments, "--method", "zero_shot", "--shots", "1", "--output", str(run)]
    assert main(fit) == 0
    assert json.loads((run / "run.json").read_text())["settings"]["config"]["template"] == [
        "{} texture."
    ]
    assert main(["evaluate", str(run), "dtd", *arguments]) == 0
    assert "4 test images of dtd" in capsys.readouterr().out


def test_a_fit_of_what_is_missing_suggests_the_check(root: Path, backbone: str, capsys) -> None:
    arguments = ["fit", "caltech101", "--root", str(root), "--backbone", backbone]
    assert main([*arguments, "--output", str(root / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"crossprompt data check caltech101 --root {root}" in line
