"""What an exported classifier says of itself: JSON in the file, checked before it is believed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Resampling

from crossprompt.data.class_names import check_class_names
from crossprompt.data.transforms import PictureTransform
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import check_types, json_text, parse_json

FORMAT = 1
"""Version of the description and of what the graph takes and gives."""
KEY = "crossprompt"
"""Of the description in an ONNX file's metadata."""
EXTRA = f"{KEY}.json"
"""Of the description among the extra files of a torch program."""
TYPES: Mapping[tuple[str, ...], type] = {
    ("form",): str,
    ("method", "name"): str,
    ("method", "config"): dict,
    ("backbone", "name"): str,
    ("backbone", "weights"): str,
    ("class_names",): list,
    ("weights",): str,
    ("preprocess", "side"): int,
    ("preprocess", "resize"): int,
    ("preprocess", "mean"): list,
    ("preprocess", "std"): list,
    ("preprocess", "interpolation"): str,
}
"""What a description must hold."""


def description_text(about: Mapping[str, Any], transform: PictureTransform, weights: str) -> str:
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
    return json_text(described)


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
        description = parse_json(text)
        found = description["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"{type(error).__name__} {error}") from error
    if type(found) is not int or found != FORMAT:
        raise RequestError(
            f"{path} has format {found!r:.60}, this crossprompt reads format {FORMAT}; install the "
            "release that wrote it, or export again"
        )
    try:
        check_types(description, TYPES)
        check_class_names(description["class_names"])
    except ValueError as error:  # RequestError is one
        raise _damaged(path, str(error)) from error
    return dict(description)


def read_transform(description: Mapping[str, Any], path: Path) -> PictureTransform:
    """What must be done to a picture before the model takes it; ``RequestError`` if it is not said
    rightly."""
    steps = description["preprocess"]
    try:
        red, green, blue = map(float, steps["mean"])
        red_std, green_std, blue_std = map(float, steps["std"])
        transform = PictureTransform(
            side=steps["side"],
            resize=steps["resize"],
            mean=(red, green, blue),
            std=(red_std, green_std, blue_std),
            interpolation=Resampling[steps["interpolation"].upper()],
        )
    except RequestError as error:
        raise _damaged(path, str(error)) from error
    except (ValueError, TypeError, KeyError) as error:
        reason = f"preprocess is {steps!r:.200} ({type(error).__name__} {error})"
        raise _damaged(path, reason) from error
    return transform


def _damaged(path: Path, reason: str) -> RequestError:
    return RequestError(f"the metadata of {path} is damaged: {reason:.300}; export it again")
