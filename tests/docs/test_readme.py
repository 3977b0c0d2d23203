"""Examples of the README work as written."""

import re
import shlex
from pathlib import Path

import pytest

from crossprompt.cli.main import build_parser
from crossprompt.methods import METHODS

README = Path(__file__).parents[2] / "README.md"
METHODS_PAGE = README.parent / "docs" / "methods.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def commands():
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    found = [re.search(r"\bcrossprompt (?=[a-z])(.*)", line.split("  #")[0]) for line in lines]
    return [match.group(1).strip() for match in found if match and "git" not in match.string]


def test_there_are_commands_to_check():
    assert len(commands()) >= 8


@pytest.mark.parametrize("command", commands())
def test_the_command_line_takes_what_the_readme_shows(command):
    words = shlex.split(command)
    if "--help" in words:
        return
    build_parser(words).parse_args(words)


@pytest.mark.slow
def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (example,) = blocks("python")
    exec(compile(example, str(README), "exec"), {})
    accuracy, _, predictions = capsys.readouterr().out.strip().partition(" ")
    assert 0 <= float(accuracy) <= 1
    assert predictions.count("Prediction(") == 1


def test_the_reading_path_says_how_long_its_files_are():
    rows = re.findall(
        r"^\| \[[^]]+\]\(([^)]+)\) \| (\d+) \|", README.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == 5
    for path, lines in rows:
        found = len((README.parent / path).read_text("utf-8").splitlines())
        assert found == int(lines), f"{path} has {found} lines"


def test_every_method_is_in_the_table():
    rows = [line for line in METHODS_PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert set(METHODS) <= named


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_paragraph(name):
    text = METHODS_PAGE.read_text("utf-8")
    _, found, paragraph = text.partition(f"## {name}\n")
    assert found
    assert METHODS[name].fidelity in paragraph.partition("## ")[0].lower()
    assert METHODS[name].paper.rpartition(" ")[2] in paragraph.partition("## ")[0]


def test_files_that_the_readme_links_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text("utf-8")):
        assert (README.parent / target).exists(), target
