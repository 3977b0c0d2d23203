"""Model card (README.md) of a saved classifier."""

import json
from pathlib import Path
from typing import Any

from crossprompt.classifier.info import front_matter, hub_name, license_of
from crossprompt.methods import METHODS
from crossprompt.utils.text import one_line

LIBRARY = "crossprompt"
TEMPLATE = Path(__file__).with_suffix(".md")
LICENSED = "The backbone is licensed as {}, and its license applies to this classifier."
UNKNOWN = "The backbone's license applies to it; see where the backbone is from."
PLACE = "path/to/this/folder"
"""Stands for the unknown place of a classifier."""


def card_text(description: dict[str, Any], place: str = PLACE) -> str:
    """Text for the content of ``classifier.json``; ``place`` is the argument of
    ``crossprompt.load``."""
    from huggingface_hub import EvalResult, ModelCardData  # slow

    names, backbone = description["class_names"], description["backbone"]["name"]
    method, license = description["method"]["name"], license_of(backbone)
    measured = description.get("metrics") or {}
    metrics = {name: value for name, value in measured.items() if isinstance(value, float)}
    data = str((description.get("data") or {}).get("name", "the test images"))
    called = method if place == PLACE else place.rpartition("/")[2]
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=data,
            dataset_name=data,
            metric_type="f1" if "F1" in name else "accuracy",
            metric_value=value,
            metric_name=name,
        )
        for name, value in metrics.items()
    ]
    front = ModelCardData(
        library_name=LIBRARY,
        pipeline_tag="image-classification",
        tags=["clip", "prompt-learning", "few-shot", LIBRARY],
        license=license,
        base_model=hub_name(backbone),
        model_name=called if results else None,
        eval_results=results or None,
    )
    known = ("method", "backbone", "training", "data", "inference", "versions")
    settings = {key: description[key] for key in known if key in description}
    return TEMPLATE.read_text("utf-8").format(
        front=front.to_yaml(),
        quoted=json.dumps(place),
        place=place,
        backbone=backbone,
        method=method,
        paper=METHODS[method].paper,
        count=len(names),
        classes="\n".join(f"- {one_line(name)}" for name in names),
        metrics="\n".join(f"- {k}: {v:.4g}" for k, v in metrics.items()) or "Not measured.",
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
        license=LICENSED.format(license) if license else UNKNOWN,
    )


def is_card(path: Path) -> bool:
    """True for a file that ``card_text`` made, changed or not."""
    return front_matter(path).get("library_name") == LIBRARY
