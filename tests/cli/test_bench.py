"""``crossprompt bench``."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from crossprompt.bench.results import LINES
from crossprompt.cli import main
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.training.checkpoint import STATE
from tests.cli.grids import read_lines
from tests.data.fake_benchmarks import FAKES

EPOCHS = 3
Words = Callable[..., list[str]]


@pytest.fixture(scope="module")
def grid(photos: Path, backbone: str) -> Words:
    """Two methods, two seeds."""

    def arguments(output: Path, *more: str, epochs: int = EPOCHS) -> list[str]:
        places = ["--datasets", str(photos), "--backbones", backbone, "--output", str(output)]
        methods = ["--methods", "zero_shot", "coop:length=2", "--shots", "2", "--seeds", "1", "2"]
        training = ["--epochs", str(epochs), "--batch-size", "3"]
        how = ["--threads", "1", "--dtype", "fp32", "--device", "cpu"]
        return ["bench", *places, *methods, *training, *how, *more]

    return arguments


@pytest.fixture(scope="module")
def results(grid, tmp_path_factory) -> Path:
    """A finished grid; not to be changed."""
    output = tmp_path_factory.mktemp("results")
    assert main(grid(output)) == 0
    return output


def test_a_grid_of_two_methods_and_two_seeds_is_four_lines(results, photos) -> None:
    lines = read_lines(results)
    cells = [line["cell"] for line in lines.values()]
    assert [(cell["method"], cell["seed"]) for cell in cells] == [
        ("zero_shot", 1),
        ("zero_shot", 2),
        ("coop", 1),
        ("coop", 2),
    ]
    assert [cell["training"] for cell in cells] == 2 * [{}] + 2 * [{"batch_size": 3, "epochs": 3}]
    assert cells[2]["options"] == {"length": 2}
    assert all(
        line["settings"]["training"]["seed"] == line["cell"]["seed"] for line in lines.values()
    )
    assert {result["n"] for line in lines.values() for result in line["results"]} == {9}
    assert not (results / "cells").exists()


def test_a_finished_grid_says_so_and_computes_nothing(grid, results, capsys) -> None:
    before = (results / LINES).read_bytes()
    assert main(grid(results)) == 0
    found = capsys.readouterr()
    assert "0 cells computed, 4 finished before" in found.out
    assert f"crossprompt report {results}" in found.out
    assert (results / LINES).read_bytes() == before


def test_a_dry_run_lists_the_cells_and_computes_nothing(grid, results, tmp_path, capsys) -> None:
    assert main(grid(tmp_path, "--dry-run", "--json")) == 0
    listed = json.loads(capsys.readouterr().out)["cells"]
    assert [entry["finished"] for entry in listed] == [False] * 4
    assert not list(tmp_path.iterdir())
    assert main(grid(results, "--dry-run", "--json", "--shots", "2", "4")) == 0
    listed = json.loads(capsys.readouterr().out)["cells"]
    assert sum(entry["finished"] for entry in listed) == 4
    assert len(listed) == 8
    assert main(grid(results, "--dry-run")) == 0
    assert "4 cells, 4 finished" in capsys.readouterr().out


@pytest.mark.slow
def test_a_grid_that_is_killed_goes_on_to_the_same_lines_with_several_workers(
    grid, results, tmp_path, capsys
) -> None:
    # in the first of coop's cells, after its second epoch
    command = [sys.executable, "-m", "tests.cli.grids", "2", *grid(tmp_path)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(read_lines(tmp_path)) == 2
    (state,) = (tmp_path / "cells").glob(f"*/{STATE}")
    with (tmp_path / LINES).open("a") as file:
        file.write('{"format": "crossprompt-result", "version": 1, "cell": {"protoc')  # torn
    assert main(grid(tmp_path, "--json", "--workers", "2")) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["finished_before"], summary["computed"]) == (2, 2)
    assert read_lines(tmp_path) == read_lines(results)
    assert not state.exists()


@pytest.mark.slow
def test_a_ray_cluster_that_loses_a_worker_writes_the_same_lines(
    grid, backbone, photos, tmp_path
) -> None:
    epochs = 40
    assert main(grid(tmp_path / "local", epochs=epochs)) == 0
    output = tmp_path / "ray"
    arguments = grid(output, "--engine", "ray", "--workers", "2", epochs=epochs)
    command = [sys.executable, "-m", "crossprompt", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        killed: list[str] = []
        killer = threading.Thread(target=kill_one, args=(process, output, killed))
        killer.start()
        _, errors = process.communicate()
        killer.join()
    assert process.returncode == 0, errors
    assert killed
    assert read_lines(output) == read_lines(tmp_path / "local")
    assert b"raylet" not in errors


def kill_one(process: subprocess.Popen[bytes], output: Path, killed: list[str]) -> None:
    """Kill one Ray worker that is in the middle of a training."""
    while process.poll() is None and not killed:
        time.sleep(0.02)
        if not list((output / "cells").glob(f"*/{STATE}")):
            continue
        for worker in psutil.Process(process.pid).children(recursive=True):
            if "ray::crossprompt" in " ".join(worker.cmdline()):
                killed.append(worker.name())
                os.kill(worker.pid, signal.SIGKILL)
                return


def test_a_cell_that_fails_is_exit_code_1_and_the_rest_is_computed(grid, tmp_path, capsys) -> None:
    arguments = grid(tmp_path)
    arguments[arguments.index("coop:length=2")] = "coop:length=2,lr=1e38"
    assert main(arguments) == 1
    found = capsys.readouterr()
    assert "2 cells computed, 0 finished before, 0 not applicable, 2 failed" in found.out
    assert "failed: few-shot" in found.out
    assert "coop length=2 batch_size=3 epochs=3 lr=1e+38 on" in found.out
    assert found.err.count("failed: ") == 2
    assert "Traceback" not in found.err
    assert len(read_lines(tmp_path)) == 2


def test_a_data_set_that_is_missing_is_exit_code_1_and_the_others_are_computed(
    grid, photos, tmp_path, capsys
) -> None:
    arguments = grid(tmp_path / "results", "--seeds", "1")
    arguments.insert(arguments.index(str(photos)) + 1, str(tmp_path / "none"))
    assert main(arguments) == 1
    found = capsys.readouterr()
    assert "2 cells computed, 0 finished before, 0 not applicable, 2 failed" in found.out
    assert "failed: few-shot" in found.out
    assert f"{tmp_path}/none" in found.out
    assert found.err.count("failed: ") == 1


def test_debug_shows_where_a_cell_failed(grid, tmp_path, capsys) -> None:
    arguments = grid(tmp_path, "--debug", "--seeds", "1")
    arguments[arguments.index("coop:length=2")] = "coop:length=2,lr=1e38"
    assert main(arguments) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_does_not_apply_is_said_and_no_failure(grid, tmp_path, capsys) -> None:
    arguments = grid(tmp_path, "--protocol", "cross-dataset", "--targets", "emoji", "--seeds", "1")
    arguments[arguments.index("coop:length=2")] = "linear_probe"
    assert main([*arguments, "--dry-run"]) == 0
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    (entry,) = summary["not_applicable"]
    assert entry["cell"]["method"] == "linear_probe"
    assert "3 classes" in entry["reason"]
    assert (summary["computed"], summary["failed"]) == (1, [])


@pytest.mark.slow
def test_the_emoji_are_tested_in_every_style(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = ["--methods", "zero_shot", "linear_probe", "--shots", "1", "--seeds", "1", "2"]
    protocol = ["--protocol", "domain-generalisation", "--workers", "1"]
    output = ["--output", str(tmp_path / "results")]
    assert main(["bench", "--datasets", "emoji", *arguments, *protocol, *output]) == 0
    lines = read_lines(tmp_path / "results")
    assert len(lines) == 4
    for line in lines.values():
        assert [result["name"] for result in line["results"]] == ["test", "openmoji", "line-art"]
        assert all(result["dataset"] == "emoji" for result in line["results"])
        assert line["cell"]["backbone"] == "tiny"


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--methods", "dcp:epohcs=3"], "'epochs'"),
        (["--protocol", "fewshot"], "'few-shot'"),
        (["--datasets", "emojis"], "'emoji'"),
        (["--backbones", "no/such/folder"], "no/such/folder"),
        (["--batch-order", "sorted"], "--batch-order"),
        (["--test-batch-size", "4"], "--test-batch-size"),
        (["--gpus", "1"], "--gpus"),
        (["--engine", "ray", "--gpus", "-1"], "--gpus: '-1'"),
        (["--engine", "ray", "--memory", "nan"], "--memory: 'nan'"),
        (["--retries", "1", "--workers", "1"], "--retries"),
        (["--retries", "-1"], "--retries is -1"),
        (["--engine", "ray", "--ray-address", "auto", "--workers", "2"], "--ray-address"),
        (["--shots", "0"], "--shots: '0'"),
        (["--engine", "slurm"], "'slurm'"),
        (["--epochs", "0"], "epochs is 0"),
        (["--dtype", "fp31"], "'fp31'"),
    ],
)
def test_a_wrong_request_is_exit_code_2_and_one_line(grid, tmp_path, more, part, capsys) -> None:
    assert main(grid(tmp_path, *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line
    assert not list(tmp_path.iterdir())


def test_ctrl_c_keeps_what_is_finished(grid, tmp_path, monkeypatch, capsys) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crossprompt.bench.run_cell.train_run", interrupt)
    assert main(grid(tmp_path)) == 1
    error = capsys.readouterr().err
    assert f"stopped; {tmp_path}" in error


def test_ray_that_is_not_installed_is_an_error_with_what_to_install(
    grid, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(grid(tmp_path, "--engine", "ray")) == 2
    assert "pip install 'crossprompt[ray]'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def fakes(tmp_path_factory) -> Path:
    """ImageNet, two of its shifted sets, DTD and PACS in miniature."""
    root = tmp_path_factory.mktemp("data")
    for name in ("imagenet", "imagenetv2", "imagenet_a", "imagenet_sketch", "imagenet_r", "dtd"):
        FAKES[name](root)
    return root


def on_fakes(fakes: Path, backbone: str, output: Path, *more: str) -> list[str]:
    places = ["--root", str(fakes), "--backbones", backbone, "--output", str(output)]
    how = ["--seeds", "1", "--epochs", "1", "--threads", "1", "--dtype", "fp32"]
    return ["bench", *places, "--methods", "zero_shot", "coop:length=2", *how, *more]


@pytest.mark.slow
def test_benchmark_data_sets_in_miniature_are_a_grid(fakes, backbone, tmp_path) -> None:
    arguments = on_fakes(
        fakes, backbone, tmp_path, "--datasets", "dtd", "imagenet", "--shots", "1", "2"
    )
    assert main(arguments) == 0
    cells = [line["cell"] for line in read_lines(tmp_path).values()]
    assert {(c["dataset"], c["method"], c["shots"]) for c in cells} == {
        (dataset, method, shots)
        for dataset in ("dtd", "imagenet")
        for method in ("zero_shot", "coop")
        for shots in (1, 2)
    }


def test_what_imagenet_teaches_is_tested_on_its_shifted_sets(fakes, backbone, tmp_path) -> None:
    arguments = on_fakes(fakes, backbone, tmp_path, "--datasets", "imagenet", "--shots", "1")
    assert main([*arguments, "--protocol", "domain-generalisation"]) == 0
    for line in read_lines(tmp_path).values():
        names = [result["name"] for result in line["results"]]
        assert names == ["test", *BENCHMARKS["imagenet"].shifted]
        of_some = next(x for x in line["results"] if x["name"] == "imagenet_a")
        assert len(of_some["per_class"]) < len(line["results"][0]["per_class"])
