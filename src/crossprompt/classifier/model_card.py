"""The README.md of a saved classifier."""

import json
import re
from pathlib import Path
from typing import Any

from crossprompt.classifier.info import hub_name, license_of
from crossprompt.methods import METHODS
from crossprompt.utils.text import one_line

LIBRARY = "crossprompt"
CARD = """---
{front}
---

# {method} classifier of {count} classes

A frozen CLIP ({backbone}) adapted with `{method}` ({paper}) by crossprompt.

```python
import crossprompt as xp

classifier = xp.load({place})
classifier.predict(["image.jpg"])
```

From the command line: `crossprompt predict {words} image.jpg`, and `crossprompt info {words}` says
what is inside. It needs the backbone, whose weights are not part of it.

## Classes

{classes}

## Measured

{metrics}

## Settings

```json
{settings}
```

## License

{license}

## Intended use and limits

It is meant for sorting images like those it was adapted to into the classes above. It chooses one
of them for every image, also for an image that shows none of them. It was adapted to a handful of
images and inherits what its backbone has learned, biases included: measure it on images of your
own before you rely on it, and do not use it to decide about people.
"""


LICENSED = "The backbone is licensed as {}, and its license applies to this classifier."
UNKNOWN = "The backbone's license applies to it; see where the backbone is from."
PLACE = "path/to/this/folder"
"""Where a card does not know better."""


def card_text(description: dict[str, Any], place: str = PLACE) -> str:
    """Markdown for the description that ``classifier.json`` holds.

    Args:
        description: see ``crossprompt.classifier.saving.describe``, with the caller's information.
        place: what ``crossprompt.load`` takes, such as a repository of the hub.
    """
    names, backbone = description["class_names"], description["backbone"]["name"]
    method, license = description["method"]["name"], license_of(backbone)
    lines = [f"- {name}: {value:.4g}" for name, value in _metrics(description).items()]
    known = ("method", "backbone", "training", "data", "inference", "versions")
    settings = {key: description[key] for key in known if key in description}
    return CARD.format(
        front=_front(description, place),
        place=json.dumps(place),
        words=place,
        backbone=backbone,
        method=method,
        paper=METHODS[method].paper,
        count=len(names),
        classes="\n".join(f"- {one_line(name)}" for name in names),
        metrics="\n".join(lines) or "Not measured.",
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
        license=LICENSED.format(license) if license else UNKNOWN,
    )


def is_card(path: Path) -> bool:
    """Whether a file is one that ``card_text`` made, changed or not."""
    try:
        front = path.read_text("utf-8", errors="replace").partition("\n---")[0]
        return re.search(rf"^library_name: .?{LIBRARY}\b", front, re.MULTILINE) is not None
    except OSError:
        return False


def _front(description: dict[str, Any], place: str) -> str:
    """What the hub reads, as YAML; a JSON text is a YAML text, whatever is in it."""
    backbone, data = description["backbone"]["name"], description.get("data") or {}
    front: dict[str, Any] = {
        "library_name": LIBRARY,
        "pipeline_tag": "image-classification",
        "tags": ["clip", "prompt-learning", "few-shot", "crossprompt"],
    }
    if (license := license_of(backbone)) is not None:
        front["license"] = license
    if (base := hub_name(backbone)) is not None:
        front["base_model"] = base
    if metrics := _metrics(description):
        name = str(data.get("name", "the test images"))
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": name, "type": name},
            "metrics": [
                {"type": "f1" if "F1" in key else "accuracy", "value": value, "name": key}
                for key, value in metrics.items()
            ],
        }
        called = place.rpartition("/")[2] if place != PLACE else description["method"]["name"]
        front["model-index"] = [{"name": called, "results": [result]}]
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())


def _metrics(description: dict[str, Any]) -> dict[str, float]:
    found = description.get("metrics") or {}
    return {name: value for name, value in found.items() if isinstance(value, float)}
