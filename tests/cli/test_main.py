"""What all commands have in common: help, exit codes, one line for every failure."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from crossprompt.cli import main
from crossprompt.cli.main import COMMANDS, explain
from crossprompt.data import BadImage, UnreadableImageError
from crossprompt.errors import JobError, RequestError


def raising(error: BaseException) -> SimpleNamespace:
    """A command that fails."""

    def run(options: Any) -> int:
        raise error

    return SimpleNamespace(
        summary="Fail.", EXAMPLE="crossprompt fail", add_arguments=lambda *_: None, run=run
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_commands_help_has_an_example(command, capsys) -> None:
    assert main([command, "--help"]) == 0
    help_text = capsys.readouterr().out
    assert COMMANDS[command].EXAMPLE in help_text
    assert help_text.startswith(f"usage: crossprompt {command} ")
    assert "--debug" in help_text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_in_the_help_is_understood(command) -> None:
    from crossprompt.cli.main import parse

    program, *words = COMMANDS[command].EXAMPLE.split()
    assert program == "crossprompt"
    assert parse(words).command == command


def test_the_help_lists_the_commands(capsys) -> None:
    assert main(["--help"]) == 0
    help_text = " ".join(capsys.readouterr().out.split())
    assert "example: crossprompt demo" in help_text
    for command in COMMANDS.values():
        assert command.summary in help_text


def test_the_version_is_shown(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("crossprompt 0.")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], f"expected one of {', '.join(COMMANDS)}; see crossprompt --help"),
        (["fitt"], "there is no command 'fitt'; did you mean fit?"),
        (["xyzzy"], f"there is no command 'xyzzy'; expected one of {', '.join(COMMANDS)}"),
        (["fit"], "arguments are required: data; see crossprompt fit --help"),
        (["fit", "x", "--lenght", "3"], "no option --lenght; did you mean --length?"),
        (["fit", "x", "--lenght=3"], "no option --lenght; did you mean --length?"),
        (["fit", "x", "--frobnicate"], "no option --frobnicate; see crossprompt fit --help"),
        (["fit", "x", "y"], "dcp learns from one data set, found 2: x, y; give one, or --method"),
        (["fit", "x", "--seed", "2", "y"], "'y' is one word too many"),
        (["fit", "x", "--length", "three"], "argument --length: invalid int value: 'three'"),
        (["fit", "x", "--variant", "odd"], "argument --variant: invalid choice: 'odd'"),
        (["fit", "x", "--template", "{}"], "--template is a setting of zero_shot, tip_adapter"),
        (["fit", "x", "--c", "3"], "--c is a setting of linear_probe, not of dcp"),
        (["fit", "x", "--method", "coop", "--no-share"], "--no-share is a setting of dcp, not of"),
        (["fit", "x", "--method", "dpc"], "no method 'dpc'; did you mean 'dcp'?"),
        (["fit", "x", "--method"], "argument --method: expected one argument"),
        (["fit", "x", "--shots", "few"], "'few' is neither a number nor 'all'"),
        (["fit", "x", "--resume", "--overwrite"], "not allowed with argument"),
        (["fit", "x", "--shot", "3"], "no option --shot; did you mean --shots?"),
        (["fit", "nowhere"], "no data set, folder or .csv file is called 'nowhere'"),
        (["evaluate", "nowhere", "emoji"], "nowhere is no saved classifier"),
        (["predict", "nowhere", __file__, "--top-k", "0"], "'0' is not a whole number above 0"),
        (["predict", "nowhere", __file__, "--batch-size", "-1"], "'-1' is not a whole number"),
        (["predict", "nowhere", __file__, "--device", "gpu"], "unknown device 'gpu'"),
        (["predict", "nowhere", __file__, "--template", "x"], "no option --template"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("crossprompt: error: ")
    assert found.err.count("\n") == 1
    assert told in found.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (RequestError("found a, expected b"), 2, "found a, expected b"),
        (JobError("the loss is nan"), 1, "the loss is nan"),
        (KeyboardInterrupt(), 1, "stopped"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            1,
            "the package torch is not installed, which this command needs; pip install crossprompt",
        ),
        (ZeroDivisionError("by\nzero"), 1, "unexpected ZeroDivisionError: by zero (a traceback: "),
        (PermissionError(13, "Permission denied", "runs"), 1, "runs: Permission denied"),
        (torch.cuda.OutOfMemoryError("CUDA\nout"), 1, "try a smaller --batch-size"),
    ],
)
def test_a_failure_is_one_line_with_its_exit_code(error, code, told, capsys, monkeypatch) -> None:
    monkeypatch.setitem(COMMANDS, "fail", raising(error))
    assert main(["fail"]) == code
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1
    with pytest.raises(type(error)):  # and the traceback is there for who asks
        main(["fail", "--debug"])


def test_of_several_processes_one_says_what_is_wrong_for_all(monkeypatch, capsys) -> None:
    monkeypatch.setenv("RANK", "1")
    for error, code in ((RequestError("wrong"), 2), (JobError("nan"), 1), (KeyboardInterrupt(), 1)):
        assert explain(error) == code
    assert capsys.readouterr().err == ""
    assert explain(UnreadableImageError(BadImage(Path("a.png"), "read here only"))) == 2
    assert "read here only" in capsys.readouterr().err


def test_no_arguments_mean_those_of_the_process(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["crossprompt", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("crossprompt ")


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "RUN", "IMAGE", "--output", "FILE/answers.csv"),
        ("export", "RUN", "FILE/photos.onnx"),
        ("explain", "RUN", "IMAGE", "--output", "FILE"),
        ("classes", "RUN", "dog", "owl", "--output", "FILE/new"),
        ("bench", "--datasets", "PHOTOS", "--methods", "zero_shot", "--output", "FILE"),
    ],
    ids=lambda words: words[0],
)
def test_an_output_that_cannot_be_written_is_a_wrong_request(
    words, run, photos, tmp_path, capsys
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    named = {"RUN": run, "IMAGE": photos / "cat" / "0.png", "PHOTOS": photos, "FILE": file}
    for name, path in named.items():
        words = [word.replace(name, str(path)) for word in words]
    assert main(words) == 2
    assert f"({file} is a file); choose another place" in capsys.readouterr().err
    assert file.read_text() == "kept"
