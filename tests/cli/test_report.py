"""``crossprompt report``: from a results folder to files, and what goes wrong on the way."""

import json
import sys
from pathlib import Path

import pytest

from crossprompt.bench import report
from crossprompt.cli import main
from crossprompt.cli.report import FORMATS
from tests.bench.report.lines import line, write_lines


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "results", [line(seed=seed) for seed in (1, 2)])


def test_the_report_is_written_beside_the_lines(results: Path, capsys) -> None:
    assert main(["report", str(results)]) == 0
    shown = capsys.readouterr()
    assert f"html: {results}/report/report.html\n" in shown.out
    assert shown.err == ""
    folder = results / "report"
    assert sorted(path.name for path in folder.iterdir()) == [
        "few-shot.png",
        "report.html",
        "report.md",
        "tables",
    ]
    assert (folder / "tables" / "few-shot-emoji.tex").is_file()


def test_one_format_in_another_folder(results: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "elsewhere"
    arguments = [
        "report",
        str(results / "lines.jsonl"),
        "--output",
        str(output),
        "--format",
        "html",
    ]
    assert main(arguments) == 0
    assert [path.name for path in output.iterdir()] == ["report.html"]


def test_the_numbers_can_be_read_by_a_program(results: Path, capsys) -> None:
    assert main(["report", str(results), "--json", "--format", "latex"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"files", "facts", "notes", "tables"}
    assert [Path(path).name for path in found["files"]["latex"]][:1] == ["few-shot-emoji.tex"]
    (row,) = found["tables"][0]["groups"][0]["rows"]
    entry = {"mean": 0.5, "deviation": 0.0, "seeds": {"1": 0.5, "2": 0.5}}
    assert row == {"label": "dcp", "entries": [entry]}


def test_notes_are_written_to_standard_error(results: Path, capsys) -> None:
    with (results / "lines.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"format"')
    assert main(["report", str(results), "--format", "html"]) == 0
    assert "note: The last line of " in capsys.readouterr().err
    assert "The last line of " in (results / "report" / "report.html").read_text("utf-8")


def test_a_malformed_line_is_one_line_and_exit_code_2(results: Path, capsys) -> None:
    with (results / "lines.jsonl").open("a", encoding="utf-8") as file:
        file.write("nonsense\n")
    assert main(["report", str(results)]) == 2
    shown = capsys.readouterr().err
    assert f"{results / 'lines.jsonl'}, line 3" in shown
    assert shown.count("\n") == 1
    assert not (results / "report").exists()


def test_the_report_says_when_its_packages_are_missing(results: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", str(results)]) == 2
    shown = capsys.readouterr().err
    assert "jinja2" in shown
    assert "crossprompt[report]" in shown


def test_the_formats_on_offer_are_those_that_can_be_written() -> None:
    assert FORMATS == report.FORMATS
