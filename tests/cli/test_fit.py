"""``crossprompt fit``."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossprompt.cli import main
from crossprompt.cli.console import Terminal
from crossprompt.cli.fit import chosen_method
from crossprompt.training.checkpoint import LOG
from crossprompt.utils.progress import StepReport

LEARNED = ("classifier.safetensors", "method.safetensors")


def learned(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in LEARNED]


def test_a_fit_shows_the_accuracy_and_what_to_do_next(fit_command, tmp_path, capsys) -> None:
    run = tmp_path / "my run"
    assert main(fit_command(run)) == 0
    found = capsys.readouterr()
    assert "test" in found.out
    assert f"crossprompt predict '{run}' IMAGE" in found.out
    assert "Training" in found.err
    assert len((run / LOG).read_text().splitlines()) == 2


def test_json_is_all_that_stands_on_standard_output(fit_command, tmp_path, capsys) -> None:
    assert main(fit_command(tmp_path / "run", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["output"] == str(tmp_path / "run")
    assert answer["results"]["test"]["n"] == 9
    assert 0 <= answer["results"]["test"]["accuracy"] <= 1


def test_settings_of_job_method_and_training_reach_the_run(fit_command, tmp_path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("cat: tabby\n")
    arguments = fit_command(
        tmp_path / "run", "--seed", "4", "--lr", "0.5", "--no-augment", "--class-specific"
    )
    assert (
        main([*arguments, "--class-names", str(names), "--dtype", "bf16", "--device", "cpu"]) == 0
    )
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["config"]["class_specific"] is True
    assert settings["config"]["length"] == 2
    assert settings["seed"] == settings["training"]["seed"] == 4
    assert (settings["training"]["lr"], settings["training"]["augment"]) == (0.5, False)
    assert settings["class_names"][0] == "tabby"
    assert (settings["dtype"], settings["shots"]) == ("bfloat16", 2)


def test_a_run_has_a_place_of_its_own_by_default(
    photos, backbone, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        "fit",
        str(photos),
        "--method",
        "zero_shot",
        "--backbone",
        backbone,
        "--shots",
        "all",
    ]
    assert main(arguments) == 0
    assert (tmp_path / "runs" / "photos-zero_shot" / "classifier.json").exists()
    capsys.readouterr()
    assert main(arguments) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_a_fit_without_test_images_says_so(photos, backbone, tmp_path, capsys) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").symlink_to(photos)
    arguments = ["fit", str(tmp_path / "data"), "--method", "zero_shot", "--backbone", backbone]
    assert main([*arguments, "--output", str(tmp_path / "run")]) == 0
    found = capsys.readouterr()
    assert "no test images" in found.out
    assert found.err.count("note: ") == 1 + 3  # no test images, and fewer than 16 shots


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_leaves_a_run_that_can_be_resumed(
    fit_command, run, tmp_path, monkeypatch, capsys
) -> None:
    def interrupt(terminal: Terminal, report: StepReport) -> None:
        if report.step == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Terminal, "step", interrupt)
    assert main(fit_command(tmp_path / "run")) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("crossprompt")]
    assert str(tmp_path / "run") in line
    assert line.endswith("--resume")
    monkeypatch.undo()
    assert len((tmp_path / "run" / LOG).read_text().splitlines()) == 1
    assert main(["predict", str(tmp_path / "run"), str(run)]) == 2
    assert main(fit_command(tmp_path / "run", "--resume")) == 0
    assert learned(tmp_path / "run") == learned(run)


def test_an_unfinished_run_is_no_classifier_yet(
    fit_command, photos, tmp_path, monkeypatch, capsys
) -> None:
    def interrupt(terminal: Terminal, report: StepReport) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Terminal, "step", interrupt)
    assert main(fit_command(tmp_path, "--overwrite")) == 1
    assert "--resume in place of --overwrite" in capsys.readouterr().err
    for arguments in (["predict", str(tmp_path), str(photos)], ["evaluate", str(tmp_path), "x"]):
        assert main(arguments) == 2
        assert "not finished" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_is_exit_code_1_and_one_line(
    fit_command, tmp_path, capsys
) -> None:
    assert main(fit_command(tmp_path, "--lr", "1e38")) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("crossprompt")]
    assert "nan in epoch 2, step 2" in line
    assert "--lr" in line


def test_resuming_with_other_settings_lists_them(fit_command, run, capsys) -> None:
    assert main(fit_command(run, "--resume", "--length", "3")) == 2
    assert "config.length 2, now 3" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(fit_command, tmp_path) -> None:
    long = ["--epochs", "30", "--batch-size", "6"]
    arguments = fit_command(tmp_path / "killed", *long)
    command = [sys.executable, "-m", "crossprompt", *arguments]
    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb"}
    ) as process:
        log, deadline = tmp_path / "killed" / LOG, time.monotonic() + 100
        while not log.exists() or log.read_text().count("\n") < 3:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
    assert process.returncode != 0
    assert not (tmp_path / "killed" / "classifier.json").exists()
    assert log.read_text().count("\n") < 30
    assert main([*arguments, "--resume"]) == 0
    assert main(fit_command(tmp_path / "whole", *long)) == 0
    assert learned(tmp_path / "killed") == learned(tmp_path / "whole")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("fit x", "dcp"),
        ("fit x --method coop", "coop"),
        ("fit --method=coop x --length 3", "coop"),
        ("fit x --method", "dcp"),
        ("fit --template {} --method zero_shot x", "zero_shot"),
    ],
)
def test_the_method_is_found_among_options_that_are_not_yet_known(arguments, expected) -> None:
    assert chosen_method(arguments.split()) == expected
