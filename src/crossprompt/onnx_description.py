"""What an exported classifier says of itself: JSON in the file's metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Resampling

from crossprompt.errors import RequestError
from crossprompt.pixels import PictureTransform

FORMAT = 1
"""Version of the description and of what the graph takes and gives."""
KEY = "crossprompt"
"""Of the description in the file's metadata."""
TYPES: Mapping[tuple[str, ...], type] = {
    ("class_names",): list,
    ("preprocess", "side"): int,
    ("preprocess", "resize"): int,
    ("preprocess", "mean"): list,
    ("preprocess", "std"): list,
    ("preprocess", "interpolation"): str,
}
"""What a description must hold for the model to be run."""


def write_description(about: Mapping[str, Any], transform: PictureTransform, weights: str) -> str:
    """The JSON text.

    Args:
        about: method, backbone, class names, how it was trained and evaluated.
        transform: what is done to a picture before the model takes it.
        weights: how they are stored.
    """
    steps = {
        "side": transform.side,
        "resize": transform.resize,
        "mean": list(transform.mean),
        "std": list(transform.std),
        "interpolation": transform.interpolation.name.lower(),
    }
    described = {**about, "format": FORMAT, "weights": weights, "preprocess": steps}
    return json.dumps(described, ensure_ascii=False, default=str)


def read_description(text: str | None, path: Path) -> dict[str, Any]:
    """The description of a file.

    Args:
        text: what its metadata holds under ``KEY``, if anything.
        path: the file, for errors.

    Raises:
        RequestError: there is none, it is damaged, or of another format.
    """
    if text is None:
        raise RequestError(
            f"{path} is an ONNX model, but none that crossprompt export wrote: its metadata has "
            f"no {KEY!r}; give the file that was exported, or export again"
        )
    try:
        description = json.loads(text)
        found = description["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError(
            f"the metadata of {path} is damaged ({type(error).__name__} {error}); export it again"
        ) from error
    if found != FORMAT:
        raise RequestError(
            f"{path} has format {found!r}, this crossprompt reads format {FORMAT}; install the "
            "release that wrote it, or export again"
        )
    for place, expected in TYPES.items():
        value: Any = description
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, expected):
            raise RequestError(
                f"the metadata of {path} is damaged: {'.'.join(place)} is {value!r:.60}, expected "
                f"a {expected.__name__}; export it again"
            )
    return dict(description)


def read_transform(description: Mapping[str, Any], path: Path) -> PictureTransform:
    """What must be done to a picture before the model takes it; ``RequestError`` if it is not said
    rightly."""
    steps = description["preprocess"]
    try:
        red, green, blue = map(float, steps["mean"])
        red_std, green_std, blue_std = map(float, steps["std"])
        interpolation = Resampling[steps["interpolation"].upper()]
    except (ValueError, TypeError, KeyError) as error:
        raise RequestError(
            f"the metadata of {path} is damaged: preprocess is {steps!r:.200}; export it again"
        ) from error
    return PictureTransform(
        side=steps["side"],
        resize=steps["resize"],
        mean=(red, green, blue),
        std=(red_std, green_std, blue_std),
        interpolation=interpolation,
    )
