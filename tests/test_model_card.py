import json
from typing import Any

from crossprompt.model_card import write_card

DESCRIPTION: dict[str, Any] = {
    "method": {"name": "dcp", "config": {"length": 16}},
    "backbone": {"name": "tiny", "weights": "abc"},
    "class_names": ["cat", "new\nline  and more", "{dogs}"],
    "inference": "calibrated",
    "data": {"shots": 4},
}


def test_it_says_what_the_classifier_is() -> None:
    card = write_card(DESCRIPTION)
    assert card.startswith("---\nlibrary_name: crossprompt\n")
    assert "# dcp classifier of 3 classes" in card
    assert "A frozen CLIP (tiny) adapted with `dcp` (Liu et al., Findings of ACL 2023" in card
    assert "- cat\n- new line and more\n- {dogs}\n" in card
    assert '"shots": 4' in card


def test_it_lists_what_was_measured_or_says_that_nothing_was() -> None:
    assert "Not measured." in write_card(DESCRIPTION)
    card = write_card({**DESCRIPTION, "metrics": {"test accuracy": 0.123456}})
    assert "- test accuracy: 0.1235\n" in card
    assert "Not measured." not in card


def test_a_backbones_path_is_valid_yaml_whatever_is_in_it() -> None:
    name = 'C:\\a "clip": #1'
    card = write_card({**DESCRIPTION, "backbone": {"name": name, "weights": "abc"}})
    line = next(line for line in card.splitlines() if line.startswith("base_model: "))
    assert json.loads(line.removeprefix("base_model: ")) == name
