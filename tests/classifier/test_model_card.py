from pathlib import Path
from typing import Any

import yaml

from crossprompt.classifier.model_card import LICENSES, card_text, license_of
from crossprompt.clip.locate import TINY

PAPER = "Liu et al., Findings of ACL 2023"
DESCRIPTION: dict[str, Any] = {
    "method": {"name": "dcp", "config": {"length": 16}},
    "backbone": {"name": "tiny", "weights": "abc"},
    "class_names": ["cat", "new\nline  and more", "{dogs}"],
    "inference": "calibrated",
    "data": {"shots": 4},
}


def test_it_describes_the_classifier() -> None:
    card = card_text(DESCRIPTION, PAPER)
    assert card.startswith("---\nlibrary_name: crossprompt\n")
    assert "# dcp classifier of 3 classes" in card
    assert f"A frozen CLIP (tiny) adapted with `dcp` ({PAPER}" in card
    assert "- cat\n- new line and more\n- {dogs}\n" in card
    assert '"shots": 4' in card


def test_it_lists_the_metrics_if_there_are_any() -> None:
    assert "Not measured." in card_text(DESCRIPTION, PAPER)
    card = card_text({**DESCRIPTION, "metrics": {"test accuracy": 0.123456}}, PAPER)
    assert "- test accuracy: 0.1235\n" in card
    assert "Not measured." not in card


def front_of(card: str) -> dict[str, Any]:
    """As the hub reads it."""
    return dict(yaml.safe_load(card.split("---\n")[1]))


def test_the_metadata_are_those_of_the_hub() -> None:
    name, metrics = "openai/clip-vit-base-patch16", {"test accuracy": 0.75, "test macro F1": 0.5}
    backbone = {"name": name, "weights": "abc"}
    about = {**DESCRIPTION, "backbone": backbone, "metrics": metrics, "data": {"name": "pets: #1"}}
    card = card_text(about, PAPER, "user/pets")
    front = front_of(card)
    assert front["license"] == "mit"
    assert front["base_model"] == name
    assert (front["library_name"], front["pipeline_tag"]) == ("crossprompt", "image-classification")
    (model,) = front["model-index"]
    assert model["name"] == "pets"
    (result,) = model["results"]
    assert result["dataset"] == {"name": "pets: #1", "type": "pets: #1"}
    assert [(x["type"], x["value"]) for x in result["metrics"]] == [("accuracy", 0.75), ("f1", 0.5)]
    assert 'xp.load("user/pets")' in card
    assert "crossprompt predict user/pets image.jpg" in card
    assert "licensed as mit" in card
    assert "## Intended use and limits" in card


def test_a_backbone_of_this_machine_is_no_base_model_and_its_card_says_the_license(
    tmp_path: Path,
) -> None:
    name = 'C:\\a "clip": #1'
    front = front_of(
        card_text({**DESCRIPTION, "backbone": {"name": name, "weights": "abc"}}, PAPER)
    )
    assert not {"base_model", "license", "model-index"} & set(front)
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# x\n", "utf-8")
    backbone = {"name": str(tmp_path), "weights": "abc"}
    front = front_of(card_text({**DESCRIPTION, "backbone": backbone}, PAPER))
    assert front["license"] == "apache-2.0"
    assert "base_model" not in front


def test_the_embedded_backbones_license_is_that_of_its_card() -> None:
    assert front_of(card_text(DESCRIPTION, PAPER))["license"] == "cc-by-sa-4.0"
    assert license_of(str(TINY)) == LICENSES["tiny"]
