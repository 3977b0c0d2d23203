"""Content of a saved or an exported classifier, read without its backbone."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

from crossprompt.classifier.model_card import license_of
from crossprompt.data.class_names import check_class_names
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import (
    DESCRIPTION,
    EXTRA,
    FORMAT,
    FROZEN,
    INFORMATION,
    LARGEST,
    LEARNED,
    OWN,
    prefix_errors,
    read_description,
    read_exported_description,
)
from crossprompt.inference.onnx import load_onnx


def inspect_onnx(path: Path) -> dict[str, Any]:
    """Content of an exported classifier; torch is not imported."""
    return _exported(path, "exported classifier", load_onnx(path, "cpu").information)


def inspect_program(path: Path) -> dict[str, Any]:
    """Content of an exported torch program; only the description in it is read."""
    try:
        with ZipFile(path) as archive:
            names = (x for x in archive.namelist() if PurePosixPath(x).name == EXTRA)
            text = archive.open(next(names, EXTRA)).read(LARGEST).decode()
    except Exception as error:  # each kind of damage to an archive has its own
        raise RequestError(
            f"{path} is damaged or no file that crossprompt export wrote ({error!s:.200}); copy or "
            "export it again"
        ) from error
    return _exported(path, "exported torch program", read_exported_description(text, path))


def _exported(path: Path, kind: str, about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "path": str(path),
        "kind": kind,
        **_described({key: value for key, value in about.items() if key != "weights"}),
        "preprocess": about["preprocess"],
        "files": {path.name: path.stat().st_size},
        "dtype": about["weights"],
        "takes_new_classes": False,
        "why_not": "it is exported, without its text tower; use the run that it was made of",
        "exportable": False,
    }


def inspect_run(folder: Path) -> dict[str, Any]:
    """Content of a saved classifier; ``RequestError`` if it is none, or damaged."""
    from crossprompt.classifier.loading import check_hash  # imports torch
    from crossprompt.methods import find_method
    from crossprompt.methods.heads import FORMS
    from crossprompt.utils.tensor_file import read_headers

    description = read_description(folder / DESCRIPTION)
    named = description["method"]
    with prefix_errors(f"{folder / DESCRIPTION} is damaged"):
        check_class_names(description["class_names"])
        method = find_method(named["name"])
        reason = method.class_specific_parameters(method.Config.of(named["config"], named["name"]))
        if description["form"] not in FORMS:
            raise RequestError(f"form is {description['form']!r:.60}")
    headers = {name: read_headers(folder / name) for name in (FROZEN, LEARNED)}
    for name in headers:
        check_hash(folder / name, description["files"][name])
    dtypes = Counter(str(x.dtype).removeprefix("torch.") for x in headers[FROZEN].values())
    numbers = {name: sum(x.numel() for x in found.values()) for name, found in headers.items()}
    return {
        "path": str(folder),
        "kind": "classifier",
        **_described(description),
        "paper": method.paper,
        "files": {name: (folder / name).stat().st_size for name in (*headers, DESCRIPTION)},
        "dtype": " and ".join(sorted(dtypes)),
        "numbers": {"frozen": numbers[FROZEN], "learned": numbers[LEARNED]},
        "takes_new_classes": reason is None,
        "why_not": reason,
        "exportable": True,
    }


def _described(description: Mapping[str, Any]) -> dict[str, Any]:
    """Entries that saved and exported classifiers share."""
    method, backbone = description["method"], description["backbone"]
    known = {*OWN, *INFORMATION, "preprocess"}
    optional = ("training", "data", "inference", "metrics", "versions")
    return {
        "format": FORMAT,
        "form": description["form"],
        "method": method["name"],
        "settings": method["config"],
        "classes": description["class_names"],
        "backbone": {**backbone, "licence": license_of(backbone["name"])},
        "learned_from": len(description.get("learned_from", ())),
        **{key: description.get(key) for key in optional},
        "information": {key: value for key, value in description.items() if key not in known},
    }
