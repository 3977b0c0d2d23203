"""All commands: help, exit codes, one line for every failure."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from crossprompt.cli import main
from crossprompt.cli.main import COMMANDS, parse, report_error
from crossprompt.data import BadImage, UnreadableImageError
from crossprompt.errors import JobError, RequestError


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_a_command_is_understood(command) -> None:
    program, *arguments = import_module(f"crossprompt.cli.{command}").EXAMPLE.split()
    assert program == "crossprompt"
    options = parse(arguments)
    assert options.command == command
    assert not options.debug


def test_the_help_of_a_command_has_its_example_and_options(capsys) -> None:
    assert main(["push", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert help_text.startswith("usage: crossprompt push ")
    assert "example:\n  crossprompt push " in help_text
    assert "--debug" in help_text


def test_the_help_lists_the_commands(capsys) -> None:
    assert main(["--help"]) == 0
    help_text = " ".join(capsys.readouterr().out.split())
    assert "example: crossprompt demo" in help_text
    for summary in COMMANDS.values():
        assert summary in help_text


def test_the_version_is_shown(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("crossprompt 0.")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], ["COMMAND"]),
        (["fitt"], ["'fitt'", "did you mean fit?"]),
        (["xyzzy"], ["'xyzzy'", ", ".join(COMMANDS)]),
        (["fit"], ["data", "fit --help"]),
        (["fit", "x", "--lenght=3"], ["--lenght;", "did you mean --length?"]),
        (["fit", "x", "--frobnicate"], ["--frobnicate", "fit --help"]),
        (["fit", "x", "y"], ["dcp", "x, y", "--method"]),
        (["fit", "x", "--seed", "2", "y"], ["'y'"]),
        (["fit", "x", "--length", "three"], ["--length", "'three'", "whole number"]),
        (["fit", "x", "--variant", "odd"], ["--variant", "'odd'"]),
        (["fit", "x", "--template", "{}"], ["--template", "zero_shot, tip_adapter"]),
        (["fit", "x", "--c", "3"], ["--c ", "linear_probe", "dcp"]),
        (
            ["fit", "x", "--method", "coop", "--no-share"],
            ["--no-share", "dcp"],
        ),
        (["fit", "x", "--method", "dpc"], ["'dpc'", "'dcp'"]),
        (["fit", "x", "--method"], ["--method"]),
        (["fit", "x", "--shots", "few"], ["'few'"]),
        (["fit", "x", "--resume", "--overwrite"], ["--overwrite", "--resume"]),
        (["fit", "x", "--shot", "3"], ["--shot;", "did you mean --shots?"]),
        (["fit", "nowhere"], ["'nowhere'"]),
        (["evaluate", "nowhere", "emoji"], ["nowhere"]),
        (["predict", "nowhere", __file__, "--top-k", "0"], ["--top-k", "'0'"]),
        (["predict", "nowhere", __file__, "--batch-size", "-1"], ["--batch-size", "'-1'"]),
        (["predict", "nowhere", __file__, "--device", "gpu"], ["'gpu'"]),
        (["predict", "nowhere", __file__, "--template", "x"], ["--template"]),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    arguments, named, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("crossprompt: error: ")
    assert shown.err.count("\n") == 1
    assert [text for text in named if text not in shown.err] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "named"),
    [
        (RequestError("found a, expected b"), 2, "found a, expected b"),
        (JobError("the loss is nan"), 1, "the loss is nan"),
        (KeyboardInterrupt(), 1, "stopped"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "torch"),
        (ZeroDivisionError("by\nzero"), 1, "ZeroDivisionError: by zero"),
        (PermissionError(13, "Permission denied", "runs"), 1, "runs: Permission denied"),
        (torch.cuda.OutOfMemoryError("CUDA\nout"), 1, "--batch-size"),
        (RuntimeError("No space left on device"), 1, "no space left"),
    ],
)
def test_a_failure_is_one_line_with_its_exit_code(error, code, named, capsys, monkeypatch) -> None:
    def run(options: Any) -> int:
        raise error

    command = SimpleNamespace(EXAMPLE="crossprompt fail", add_arguments=lambda *_: None, run=run)
    monkeypatch.setitem(COMMANDS, "fail", "Fail.")
    monkeypatch.setitem(sys.modules, "crossprompt.cli.fail", command)
    assert main(["fail"]) == code
    shown = capsys.readouterr().err
    assert named in shown
    assert shown.count("\n") == 1
    with pytest.raises(type(error)):
        main(["fail", "--debug"])


def test_an_error_of_all_processes_is_reported_by_one(monkeypatch, capsys) -> None:
    monkeypatch.setenv("RANK", "1")
    for error, code in ((RequestError("wrong"), 2), (JobError("nan"), 1), (KeyboardInterrupt(), 1)):
        assert report_error(error) == code
    assert capsys.readouterr().err == ""
    assert report_error(UnreadableImageError(BadImage(Path("a.png"), "read here only"))) == 2
    assert "read here only" in capsys.readouterr().err


def test_no_arguments_mean_those_of_the_process(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["crossprompt", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("crossprompt ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "RUN", "IMAGE", "--output", "FILE/answers.csv"),
        ("export", "RUN", "FILE/photos.onnx"),
        ("explain", "RUN", "IMAGE", "--output", "FILE"),
        ("classes", "RUN", "dog", "owl", "--output", "FILE/new"),
        ("bench", "--datasets", "PHOTOS", "--methods", "zero_shot", "--output", "FILE"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_output_that_cannot_be_written_is_a_wrong_request(
    arguments, run, photos, tmp_path, capsys
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    named = {"RUN": run, "IMAGE": photos / "cat" / "0.png", "PHOTOS": photos, "FILE": file}
    for name, path in named.items():
        arguments = [word.replace(name, str(path)) for word in arguments]
    assert main(arguments) == 2
    assert f"{file} is a file" in capsys.readouterr().err
    assert file.read_text() == "kept"
