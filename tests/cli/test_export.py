"""``crossprompt export``, and the use of its files without torch."""

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import requires
from pathlib import Path

import httpx
import pytest

from crossprompt import load_onnx
from crossprompt.classifier import export
from crossprompt.classifier.info import inspect_run
from crossprompt.cli import main
from crossprompt.data import list_images

pytestmark = pytest.mark.slow
ENOUGH = {"numpy", "pillow", "rich", "filelock", "msgspec", "onnxruntime", "lazy_loader"}
"""The packages that docs/export.md says to install."""
NEEDED = {re.split(r"[^\w-]", need)[0] for need in requires("crossprompt") if "extra" not in need}
WITHOUT = ("onnx", *({"scikit-learn": "sklearn"}.get(name, name) for name in NEEDED - ENOUGH))
FINDER = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {WITHOUT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def be_quick(patch: pytest.MonkeyPatch) -> None:
    """Measure speeds for no longer than must be."""
    patch.setattr(export, "measure_speed", partial(export.measure_speed, seconds=0.0))


@pytest.fixture(scope="module")
def exported(
    run: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, object]]:
    """The file, and what was said of it; both are made by the command."""
    path = tmp_path_factory.mktemp("exported") / "new folder" / "photos.onnx"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        be_quick(patch)
        assert main(["export", str(run), str(path), "--check", str(photos), "--json"]) == 0
    return path, json.loads(out.getvalue())


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has little else than ONNX Runtime."""
    (tmp_path / "sitecustomize.py").write_text(FINDER)
    source = str(Path(__file__).parents[2] / "src")
    paths = [str(tmp_path), source, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def python(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_it_says_how_well_they_agree_and_how_fast_they_are(exported) -> None:
    path, shown = exported
    assert shown["path"] == str(path)
    assert shown["size"] == path.stat().st_size
    assert (shown["form"], shown["weights"]) == ("onnx", "fp32")
    assert shown["noise"]["images"] == 11
    assert shown["pictures"]["images"] == 9  # those that were held out
    assert shown["pictures"]["same"] == 1.0
    assert shown["pictures"]["difference"] <= 1e-4
    assert all(speed > 0 for speed in shown["images_per_second"].values())
    assert [file.name for file in path.parent.iterdir()] == ["photos.onnx"]


def test_without_torch_an_exported_classifier_predicts_the_same(
    exported, run, photos, without_torch, capsys
) -> None:
    arguments = ("--json", "--top-k", "3")
    assert main(["predict", str(run), str(photos), *arguments, "--dtype", "fp32"]) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    asked = ("predict", str(exported[0]), str(photos), *arguments)
    done = python(without_torch, "-m", "crossprompt", *asked)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(list_images(photos))
    for one, other in zip(found, expected, strict=True):
        assert one["path"] == other["path"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)
        assert [name for name, _ in one["top"]] == [name for name, _ in other["top"]]


def test_without_torch_the_help_the_names_and_a_wrong_option_are_told(without_torch) -> None:
    done = python(without_torch, "-m", "crossprompt", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    done = python(without_torch, "-m", "crossprompt", "predict", "a.onnx", "b.png", "--topk", "3")
    assert done.returncode == 2
    assert done.stderr.endswith("no option --topk; did you mean --top-k?\n")
    program = "import crossprompt as xp; print(xp.load_onnx.__name__, 'load_clip' in dir(xp))"
    assert python(without_torch, "-c", program).stdout == "load_onnx True\n"
    assert "No module named 'torch'" in python(without_torch, "-c", "import torch").stderr


def test_without_torch_info_says_what_is_inside(exported, run, without_torch) -> None:
    path, made = exported
    done = python(without_torch, "-m", "crossprompt", "info", str(path), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    shown, original = json.loads(done.stdout), inspect_run(run)
    assert (shown["kind"], shown["dtype"]) == ("exported classifier", "fp32")
    same = ("method", "settings", "classes", "backbone", "training", "metrics", "versions")
    assert [shown[key] for key in same] == [original[key] for key in same]
    assert shown["files"] == {path.name: made["size"]}
    assert (shown["takes_new_classes"], shown["exportable"]) == (False, False)
    done = python(without_torch, "-m", "crossprompt", "info", str(path))
    assert "exported classifier" in done.stdout


def test_without_torch_an_exported_classifier_is_served(exported, photos, without_torch) -> None:
    arguments = [sys.executable, "-m", "crossprompt", "serve", str(exported[0]), "--port", "0"]
    file = photos / "cat" / "0.png"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, env=without_torch, **pipes) as server:
        try:
            address = re.search(r"http://\S+(?=;)", server.stdout.readline())[0]
            with httpx.Client(base_url=address, timeout=20, trust_env=False) as client:
                files = [("images", (file.name, file.read_bytes()))]
                answer = client.post("/v1/predict", files=files).json()
        finally:
            server.terminate()
            server.communicate()
    (expected,) = load_onnx(exported[0]).predict([file])
    assert answer["predictions"][0]["label"] == expected.label


def test_a_person_sees_a_table_and_a_sentence(run, tmp_path, capsys, monkeypatch) -> None:
    be_quick(monkeypatch)
    assert main(["export", str(run), str(tmp_path / "a.pt2")]) == 0
    out, err = capsys.readouterr()
    assert "exported, fp32" in out
    assert "11 random images" in out
    assert "--check DATA" in out
    assert "100.0 %" in out
    assert err.splitlines()[0] == "Tracing the classifier"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["a.txt"], "a.txt"),
        (["a.onnx", "--format", "torch"], "a.pt2"),
        (["a.pt2", "--weights", "int8"], "--weights int8"),
        (["a.onnx", "--weights", "int4"], "'int4'"),
        (["a.onnx", "--root", "."], "--root"),
        (["a.onnx", "--check", "nowhere"], "'nowhere'"),
    ],
)
def test_a_wrong_export_is_refused_before_any_work(
    run, tmp_path, monkeypatch, capsys, arguments, named
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), *arguments]) == 2
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--backbone", "tiny"], "--backbone"),
        (["--dtype", "bf16"], "--dtype bf16"),
        (["--device", "cuda"], "'cuda'"),
    ],
)
def test_options_that_do_not_go_with_an_exported_classifier_are_refused(
    exported, photos, capsys, arguments, named
) -> None:
    picture = str(photos / "cat" / "0.png")
    assert main(["predict", str(exported[0]), picture, *arguments]) == 2
    assert named in capsys.readouterr().err


def test_other_commands_ask_for_the_run(exported, photos, capsys) -> None:
    assert main(["evaluate", str(exported[0]), str(photos)]) == 2
    assert "exported classifier" in capsys.readouterr().err
