"""Schemas of ``classifier.json`` and of the description inside an exported classifier."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import msgspec
from PIL.Image import Resampling

from crossprompt.data.class_names import check_class_names
from crossprompt.data.transforms import PictureTransform, Three
from crossprompt.errors import RequestError
from crossprompt.utils.files import decode_json, read_json
from crossprompt.utils.text import one_line

FORMAT = 1
"""Version of a saved classifier's folder, and of an exported file's description and graph."""
DESCRIPTION = "classifier.json"
FROZEN = "classifier.safetensors"
LEARNED = "method.safetensors"
CARD = "README.md"
"""Files of a saved classifier."""
KEY = "crossprompt"
"""Key of the description in an ONNX file's metadata."""
EXTRA = f"{KEY}.json"
"""Name of the description among the extra files of a torch program."""
LARGEST = 32 * 2**20
"""Bytes of a description: 50,000 hashes of images and the names of as many classes take 7 MB."""


class Information(msgspec.Struct, kw_only=True):
    """Optional entries that are used; the caller may add others."""

    data: dict[str, Any] = {}
    inference: str = "calibrated"
    learned_from: list[Any] = []
    metrics: dict[str, Any] = {}
    training: dict[str, Any] = {}
    versions: dict[str, Any] = {}


class _Method(msgspec.Struct):
    name: str
    config: dict[str, Any]


class _Backbone(msgspec.Struct):
    name: str
    weights: str


class Description(Information, kw_only=True):
    """Entries of saved and exported classifiers alike."""

    format: int
    form: str
    method: _Method
    backbone: _Backbone
    class_names: list[str]


class _Hashes(msgspec.Struct):
    frozen: str = msgspec.field(name=FROZEN)
    learned: str = msgspec.field(name=LEARNED)


class SavedDescription(Description, kw_only=True):
    """Schema of ``classifier.json``."""

    files: _Hashes


class _Preprocess(msgspec.Struct):
    side: int
    resize: int
    mean: Three
    std: Three
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class ExportedDescription(Description, kw_only=True):
    """Schema of the description inside an exported file."""

    weights: str
    preprocess: _Preprocess


INFORMATION = Information.__struct_fields__
OWN = {"format", "form", "method", "backbone", "class_names", "files", "versions"}
"""Keys of a description that are not the caller's information."""
OTHER_FILES = {
    ".onnx": "an exported classifier, which crossprompt.load_onnx opens",
    ".pt2": "an exported torch program, which torch.export.load opens; predict takes .onnx",
    ".safetensors": "one file of a classifier, or a checkpoint",
}
"""Ending of a file that was given in place of a folder, to its kind."""


def read_description(path: Path) -> dict[str, Any]:
    """The content of a saved classifier's ``classifier.json``.

    Raises:
        RequestError: it is missing, damaged, or of a newer format.
    """
    folder = path.parent
    if not path.is_file():
        raise RequestError(
            f"{folder} is no saved classifier: expected a folder with {path.name}, found "
            f"{_kind_of(folder)}; make one with: crossprompt fit DATA --output FOLDER"
        )
    if (size := path.stat().st_size) > LARGEST:  # before it takes memory
        raise RequestError(f"{path} is damaged: it has {size} bytes, expected {LARGEST} at most")
    advice = "copy it again or train anew"
    return _checked(read_json(path, dict, advice, LARGEST), SavedDescription, str(path), advice)


def read_exported_description(text: str | None, path: Path) -> dict[str, Any]:
    """The description inside an exported classifier.

    Args:
        text: the metadata under ``KEY``; None if there is none.
        path: the file, for errors.

    Raises:
        RequestError: there is none, it is damaged, or of another format.
    """
    if text is None:
        raise RequestError(
            f"{path} is an ONNX model, but none that crossprompt export wrote: its metadata has "
            f"no {KEY!r}; give the file that was exported, or export again"
        )
    source, advice = f"the metadata of {path}", "export it again"
    found = decode_json(text, dict, source, advice)
    description = _checked(found, ExportedDescription, source, advice)
    with prefix_errors(f"{source} is damaged"):
        check_class_names(description["class_names"])
    return description


def read_transform(description: Mapping[str, Any], path: Path) -> PictureTransform:
    """The image transform of an exported classifier; ``RequestError`` if it is impossible."""
    steps = msgspec.structs.asdict(msgspec.convert(description["preprocess"], _Preprocess))
    steps["interpolation"] = Resampling[steps["interpolation"].upper()]
    with prefix_errors(f"the metadata of {path} is damaged"):
        return PictureTransform(**steps)


def exported_text(about: Mapping[str, Any], transform: PictureTransform, weights: str) -> str:
    """The JSON description of an exported classifier, from that of the saved one."""
    steps = {**asdict(transform), "interpolation": transform.interpolation.name.lower()}
    return json_text({**about, "format": FORMAT, "weights": weights, "preprocess": steps})


def json_text(description: Mapping[str, Any]) -> str:
    """A description as JSON; infinite numbers and NaN, which JSON lacks, become null."""
    text = json.dumps(_finite(description), ensure_ascii=False, indent=2, default=str)
    return text + "\n"


def check_information(information: Mapping[str, Any]) -> None:
    """``RequestError`` names an entry of the wrong type."""
    try:
        msgspec.convert(dict(information), Information)
    except msgspec.ValidationError as error:
        raise RequestError(str(error)) from error


@contextmanager
def prefix_errors(context: str) -> Iterator[None]:
    """Prefix an error's message with its context."""
    try:
        yield
    except ValueError as error:  # RequestError is one
        raise RequestError(f"{context}: {error}") from error


def _checked(
    description: dict[str, Any], kind: type[Any], source: str, advice: str
) -> dict[str, Any]:
    """A description as it stands in the file, checked against its schema."""
    if (found := description.get("format", FORMAT)) != FORMAT:
        raise RequestError(
            f"{source} has format {found!r:.60}, this crossprompt reads format {FORMAT}; install "
            "the release that wrote it"
        )
    try:
        msgspec.convert(description, kind)
    except msgspec.ValidationError as error:
        raise RequestError(f"{source} is damaged ({one_line(error):.200}); {advice}") from error
    return description


def _kind_of(folder: Path) -> str:
    if folder.is_dir():
        return "a folder without it"
    if not folder.exists():
        return "no such folder"
    kind = OTHER_FILES.get(folder.suffix.lower())
    return "a file" if kind is None else f"a file ({kind})"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {key: _finite(own) for key, own in value.items()}
    return [_finite(own) for own in value] if isinstance(value, list | tuple) else value
