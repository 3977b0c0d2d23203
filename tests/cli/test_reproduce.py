"""``crossprompt reproduce``."""

import json
from pathlib import Path

import pytest

from crossprompt.bench.lines import LINES
from crossprompt.cli import main
from crossprompt.clip.weights import save_clip
from crossprompt.reproduce import SEEDS, SHOTS
from tests.backbone import with_blocks
from tests.clip.random_clip import make_clip
from tests.data.fake_benchmarks import FAKES


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("backbone")
    save_clip(make_clip(with_blocks(2)), folder)
    return str(folder)


def test_an_estimate_needs_no_data(backbone: str, capsys) -> None:
    words = ["reproduce", "dcp", "--estimate", "--datasets", "eurosat", "--backbone", backbone]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cells"] == 30
    assert [row["dataset"] for row in found["datasets"]] == ["eurosat"]
    assert found["total"]["hours"] == round(found["datasets"][0]["hours"], 1)
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "eurosat" in shown
    assert "hours on this machine" in shown


def test_data_that_is_not_as_published_is_told_before_any_work(
    backbone: str, tmp_path: Path, capsys
) -> None:
    FAKES["eurosat"](tmp_path)
    words = ["reproduce", "dcp", "--datasets", "eurosat", "dtd", "--backbone", backbone]
    assert main([*words, "--data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "2 data sets are not as published" in told
    assert "\n  eurosat: " in told
    assert "\n  dtd: " in told
    assert main([*words, "--data", str(tmp_path / "nothing")]) == 2
    assert "expected the folder that holds the data sets' folders" in capsys.readouterr().err


def test_the_study_runs_and_goes_on(backbone: str, tmp_path: Path, capsys, monkeypatch) -> None:
    from crossprompt import reproduce

    assert (SHOTS, SEEDS) == ((1, 2, 4, 8, 16), (1, 2, 3))
    monkeypatch.setattr(reproduce, "SHOTS", (1, 16))
    monkeypatch.setattr(reproduce, "SEEDS", (1,))
    monkeypatch.setattr(
        reproduce, "STUDIES", {"dcp": reproduce.Study("dcp", "", ("dcp:length=2,epochs=1",))}
    )
    monkeypatch.setattr("crossprompt.cli.reproduce.STUDIES", reproduce.STUDIES)
    data, output = tmp_path / "data", tmp_path / "results"
    FAKES["dtd"](data)
    words = ["reproduce", "dcp", "--datasets", "dtd", "--backbone", backbone, "--unchecked"]
    words += ["--data", str(data), "--output", str(output), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["computed"] == 4
    lines = [json.loads(line) for line in (output / LINES).read_text("utf-8").splitlines()]
    assert {line["cell"]["dataset"] for line in lines} == {"dtd"}
    assert {line["cell"]["shots"] for line in lines} == {1, 16}
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["finished_before"] == 4
