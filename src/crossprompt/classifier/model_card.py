"""Model card (README.md) of a saved classifier, and the licenses of backbones."""

import json
import re
from pathlib import Path
from typing import Any

from crossprompt.utils.text import one_line

TINY = "tiny"
LICENSES = {
    TINY: "cc-by-sa-4.0",
    "openai/clip-vit-base-patch32": "mit",
    "openai/clip-vit-base-patch16": "mit",
    "openai/clip-vit-large-patch14": "mit",
    "laion/CLIP-ViT-B-16-laion2B-s34B-b88K": "mit",
}
"""Name for ``load_clip`` to the hub's name of a license: of OpenAI's weights that of the repository
openai/CLIP, of the others that of their model cards."""
LIBRARY = "crossprompt"
TEMPLATE = Path(__file__).with_suffix(".md")
LICENSED = "The backbone is licensed as {}, and its license applies to this classifier."
UNKNOWN = "The backbone's license applies to it; see where the backbone is from."
PLACE = "path/to/this/folder"
"""Stands for the unknown place of a classifier."""


def card_text(description: dict[str, Any], paper: str, place: str = PLACE) -> str:
    """Text of a card.

    Args:
        description: content of ``classifier.json``.
        paper: reference of the method's paper.
        place: argument of ``crossprompt.load`` that opens the classifier.
    """
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
        paper=paper,
        count=len(names),
        classes="\n".join(f"- {one_line(name)}" for name in names),
        metrics="\n".join(f"- {k}: {v:.4g}" for k, v in metrics.items()) or "Not measured.",
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
        license=LICENSED.format(license) if license else UNKNOWN,
    )


def is_card(path: Path) -> bool:
    """True for a file that ``card_text`` made, changed or not."""
    return front_matter(path).get("library_name") == LIBRARY


def front_matter(card: Path) -> dict[str, Any]:
    """Metadata at the beginning of a model card; empty if there is none."""
    try:
        from huggingface_hub.repocard import metadata_load  # slow, and missing beside ONNX Runtime

        return metadata_load(card) or {}
    except Exception:  # no file, no text, no mapping, or what YAML raises
        return {}


def license_of(backbone: str) -> str | None:
    """The license of a backbone, by its name or the model card in its folder; None if unknown."""
    found = LICENSES.get(backbone) or front_matter(Path(backbone) / "README.md").get("license")
    return str(found) if found else None


def hub_name(backbone: str) -> str | None:
    """The repository of a backbone on the hub; None if it has none."""
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", backbone)
    return backbone if named and not Path(backbone).exists() else None
