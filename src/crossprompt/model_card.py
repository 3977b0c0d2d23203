"""The README.md of a saved classifier."""

import json
from typing import Any

from crossprompt.methods import METHODS

CARD = """---
library_name: crossprompt
pipeline_tag: image-classification
base_model: {base_model}
tags:
- clip
- prompt-learning
- few-shot
---

# {method} classifier of {count} classes

A frozen CLIP ({backbone}) adapted with `{method}` ({paper}) by crossprompt.

```python
import crossprompt as xp

classifier = xp.load("path/to/this/folder")
classifier.predict(["image.jpg"])
```

## Classes

{classes}

## Measured

{metrics}

## Settings

```json
{settings}
```

## Intended use and limits

It chooses one of the classes above for every image, also for an image that shows none of them. It
was adapted to a handful of images and inherits what its backbone has learned, biases included. The
backbone's licence applies to it.
"""


def write_card(description: dict[str, Any]) -> str:
    """Markdown for the description that ``classifier.json`` holds."""
    names, backbone = description["class_names"], description["backbone"]["name"]
    method = description["method"]["name"]
    metrics = description.get("metrics") or {}
    lines = [
        f"- {name}: {value:.4g}" for name, value in metrics.items() if isinstance(value, float)
    ]
    known = ("method", "backbone", "training", "data", "inference", "versions")
    settings = {key: description[key] for key in known if key in description}
    return CARD.format(
        base_model=json.dumps(backbone),  # a JSON text is a YAML text, whatever is in it
        backbone=backbone,
        method=method,
        paper=METHODS[method].paper,
        count=len(names),
        classes="\n".join(f"- {' '.join(name.split())}" for name in names),
        metrics="\n".join(lines) or "Not measured.",
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
    )
