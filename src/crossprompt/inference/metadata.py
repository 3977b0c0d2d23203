"""What a saved classifier says of itself: ``classifier.json``, checked before it is believed."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossprompt.errors import RequestError

FORMAT = 1
"""Version of the folder's layout."""
DESCRIPTION, FROZEN, LEARNED, CARD = (
    "classifier.json",
    "classifier.safetensors",
    "method.safetensors",
    "README.md",
)
"""Files of a saved classifier."""
TYPES: Mapping[tuple[str, ...], type] = {
    ("form",): str,
    ("method", "name"): str,
    ("method", "config"): dict,
    ("backbone", "name"): str,
    ("backbone", "weights"): str,
    ("class_names",): list,
    ("files", FROZEN): str,
    ("files", LEARNED): str,
}
"""What a description must hold."""
INFORMATION: Mapping[str, type] = {
    "data": dict,
    "inference": str,
    "learned_from": list,
    "metrics": dict,
    "training": dict,
    "versions": dict,
}
"""What it may hold beside other information, and is used."""
OWN = {"format", "versions", *(path[0] for path in TYPES)}
"""Keys of a description that are not the caller's information."""
LARGEST = 32 * 2**20
"""Bytes of a description: 50,000 hashes of images and the names of as many classes take 7 MB."""
OTHER_FILES = {
    ".onnx": "an exported classifier, which crossprompt.load_onnx opens",
    ".pt2": "an exported torch program, which torch.export.load opens; predict takes .onnx",
    ".safetensors": "one file of a classifier, or a checkpoint",
}
"""Ending of a file that was given in place of a folder, to what it is."""


def read_description(path: Path) -> dict[str, Any]:
    """A saved classifier's description.

    Args:
        path: of ``classifier.json``.

    Raises:
        RequestError: it is missing, damaged, or of a newer format.
    """
    folder = path.parent
    if not path.is_file():
        raise RequestError(
            f"{folder} is no saved classifier: expected a folder with {path.name}, found "
            f"{_what(folder)}; make one with: crossprompt fit DATA --output FOLDER"
        )
    if (size := path.stat().st_size) > LARGEST:
        raise RequestError(
            f"{path} is damaged: it has {size} bytes, expected {LARGEST} at most; copy it again "
            "or train anew"
        )
    try:
        description = parse_json(path.read_text("utf-8"))
        found = description["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__} {error}"
        raise RequestError(
            f"{path} is damaged, expected a JSON object with a format, found {reason:.200}; copy "
            "it again or train anew"
        ) from error
    if type(found) is not int or found != FORMAT:
        raise RequestError(
            f"{path} has format {found!r:.60}, this crossprompt reads format {FORMAT}; install "
            "the release that wrote it"
        )
    with told(f"{path} is damaged"):
        check_types(description, TYPES)
    return dict(description)


def parse_json(text: str) -> Any:
    """What a text says; ``ValueError`` also for the numbers that JSON has no word for."""
    return json.loads(text, parse_constant=_refuse_constant)


def json_text(description: Mapping[str, Any]) -> str:
    """A description as text; numbers that JSON has no word for become null."""
    text = json.dumps(_finite(description), ensure_ascii=False, indent=2, default=str)
    return text + "\n"


def check_types(description: Mapping[str, Any], types: Mapping[tuple[str, ...], type]) -> None:
    """``ValueError`` names what a description lacks, or has of another type than is expected.

    Args:
        description: as JSON has it.
        types: what it must hold, ``class_names`` and ``backbone.name`` among it.
    """
    for path, expected in types.items():
        value: Any = description
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if type(value) is not expected:  # not isinstance: to Python, true is a whole number
            raise ValueError(f"{'.'.join(path)} is {value!r:.60}, expected a {expected.__name__}")
    for name in description["class_names"]:
        if not isinstance(name, str):
            raise ValueError(f"class_names holds {name!r:.60}, expected a str")
    for name in (*description["class_names"], description["backbone"]["name"]):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name!r:.60} holds half a character") from None
    check_information(description)


def check_information(information: Mapping[str, Any]) -> None:
    """``ValueError`` names a key whose value is of another type than is expected of it."""
    for key, expected in INFORMATION.items():
        if key in information and not isinstance(information[key], expected):
            raise ValueError(f"{key} is {information[key]!r:.60}, expected a {expected.__name__}")


@contextmanager
def told(what: str) -> Iterator[None]:
    """Put what it was about before an error's message."""
    try:
        yield
    except ValueError as error:  # RequestError is one
        raise RequestError(f"{what}: {error}") from error


def _what(folder: Path) -> str:
    if folder.is_dir():
        return "a folder without it"
    if not folder.exists():
        return "no such folder"
    what = OTHER_FILES.get(folder.suffix.lower())
    return "a file" if what is None else f"a file ({what})"


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word}, which is no JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {key: _finite(own) for key, own in value.items()}
    return [_finite(own) for own in value] if isinstance(value, list | tuple) else value
