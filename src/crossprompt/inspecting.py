"""What is inside a saved or exported classifier, without its backbone."""

from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from crossprompt.description import (
    DESCRIPTION,
    FORMAT,
    FROZEN,
    INFORMATION,
    LEARNED,
    OWN,
    read_description,
)
from crossprompt.errors import RequestError
from crossprompt.licences import licence_of


def inspect_onnx(path: Path) -> dict[str, Any]:
    """What an exported classifier says of itself; torch is not imported.

    Raises:
        RequestError: it is no such file, or damaged.
    """
    from crossprompt.onnx_classifier import load_onnx

    description = dict(load_onnx(path, "cpu").information)
    weights = description.pop("weights")
    return {
        "path": str(path),
        "kind": "exported classifier",
        **_said(description),
        "preprocess": description["preprocess"],
        "files": {path.name: path.stat().st_size},
        "dtype": weights,
        "takes_new_classes": False,
        "why_not": "it is exported, without its text tower; ask the run it was made of",
        "exportable": False,
    }


def inspect_run(folder: Path) -> dict[str, Any]:
    """What a saved classifier says of itself, and what its files hold.

    Raises:
        RequestError: it is no saved classifier, or damaged.
    """
    from crossprompt.frozen import FORMS  # which imports torch
    from crossprompt.methods import find_method
    from crossprompt.tensor_file import hash_file, read_headers

    description = read_description(folder / DESCRIPTION)
    named = description["method"]
    method = find_method(named["name"])
    reason = method.bound_by(method.Config.of(named["config"], named["name"]))
    if description["form"] not in FORMS:
        raise RequestError(
            f"{folder / DESCRIPTION} is damaged: form is {description['form']!r:.60}"
        )
    headers = {name: read_headers(folder / name) for name in (FROZEN, LEARNED)}
    for name in headers:
        if hash_file(folder / name) != description["files"][name]:
            raise RequestError(
                f"{folder / name} is damaged or of another classifier; copy the whole folder again "
                "or train anew"
            )
    dtypes = Counter(str(x.dtype).removeprefix("torch.") for x in headers[FROZEN].values())
    numbers = {name: sum(prod(x.shape) for x in found.values()) for name, found in headers.items()}
    return {
        "path": str(folder),
        "kind": "classifier",
        **_said(description),
        "paper": method.paper,
        "files": {name: (folder / name).stat().st_size for name in (*headers, DESCRIPTION)},
        "dtype": " and ".join(sorted(dtypes)),
        "numbers": {"frozen": numbers[FROZEN], "learned": numbers[LEARNED]},
        "takes_new_classes": reason is None,
        "why_not": reason,
        "exportable": True,
    }


def _said(description: Mapping[str, Any]) -> dict[str, Any]:
    """What both kinds of files say."""
    method, backbone = description["method"], description["backbone"]
    more = {
        key: value
        for key, value in description.items()
        if key not in {*OWN, *INFORMATION, "preprocess"}
    }
    return {
        "format": FORMAT,
        "form": description["form"],
        "method": method["name"],
        "settings": method["config"],
        "classes": description["class_names"],
        "backbone": {**backbone, "licence": licence_of(backbone["name"])},
        "training": description.get("training"),
        "data": description.get("data"),
        "learned_from": len(description.get("learned_from", ())),
        "inference": description.get("inference"),
        "metrics": description.get("metrics"),
        "versions": description.get("versions"),
        "information": more,
    }
