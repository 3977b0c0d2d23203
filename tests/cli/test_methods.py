"""``crossprompt methods``."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crossprompt.cli import main
from crossprompt.clip.load import save_clip
from crossprompt.methods import METHODS
from tests.backbone import EVEN, NAMES
from tests.clip.random_clip import make_clip


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert main(["methods", "--json", *arguments]) == 0
    return {line["name"]: line for line in json.loads(capsys.readouterr().out)}


def test_every_method_is_listed_with_where_it_comes_from(backbone, capsys) -> None:
    found = listed(capsys, "--backbone", backbone)
    assert list(found) == list(METHODS)
    for name, method in METHODS.items():
        assert found[name]["paper"] == method.paper
        assert found[name]["fidelity"] == method.fidelity
        assert found[name]["difference"] == method.difference
        assert found[name]["summary"] == method.summary


def test_what_is_learned_is_counted_for_the_backbone_classes_and_shots(backbone, capsys) -> None:
    arguments = ["--backbone", backbone, "--classes", str(len(NAMES)), "--shots", "3"]
    found = {name: line["learned"] for name, line in listed(capsys, *arguments).items()}
    assert found["zero_shot"] == found["tip_adapter"] == 0
    assert found["taskres"] == len(NAMES) * EVEN.embed
    assert found["tip_adapter_f"] == 3 * len(NAMES) * EVEN.embed
    assert found["coop"] == 16 * EVEN.text.width
    more = listed(capsys, "--backbone", backbone, "--classes", "9", "--shots", "5")
    assert more["taskres"]["learned"] == 9 * EVEN.embed
    assert more["tip_adapter_f"]["learned"] == 5 * 9 * EVEN.embed


def test_a_person_sees_a_table_and_a_line_for_each(backbone, capsys) -> None:
    assert main(["methods", "--backbone", backbone]) == 0
    shown = capsys.readouterr().out
    for name, method in METHODS.items():
        assert f"{name}: {method.summary}" in shown
        how = f"  {method.fidelity}: {method.difference}"
        assert (how in shown) == (method.fidelity != "faithful")
    assert "  repaired: the last epoch is taken" in shown
    assert "  reconstruction: there is no public code" in shown


def test_a_method_that_the_backbone_does_not_suit_says_why(tmp_path: Path, capsys) -> None:
    save_clip(make_clip(replace(EVEN, text=replace(EVEN.text, blocks=2))), tmp_path)
    found = listed(capsys, "--backbone", str(tmp_path))
    assert found["dcp"]["learned"] is None
    assert "couples the towers" in str(found["dcp"]["problem"])
    assert found["coop"]["problem"] is None
    assert main(["methods", "--backbone", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "not on this backbone" in " ".join(shown.split())
    assert "dcp: dcp couples the towers" in shown


def test_one_class_is_a_wrong_request(capsys) -> None:
    assert main(["methods", "--classes", "1"]) == 2
    assert "--classes is 1" in capsys.readouterr().err
