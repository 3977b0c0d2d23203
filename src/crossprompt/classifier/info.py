"""What is inside a saved or exported classifier, without its backbone."""

import re
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

from crossprompt.data.class_names import check_class_names
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import (
    DESCRIPTION,
    FORMAT,
    FROZEN,
    INFORMATION,
    LARGEST,
    LEARNED,
    OWN,
    read_description,
    told,
)
from crossprompt.inference.onnx_metadata import EXTRA
from crossprompt.inference.onnx_metadata import read_description as read_exported
from crossprompt.utils.files import hash_file

TINY = "tiny"
LICENCES = {
    TINY: "cc-by-sa-4.0",
    "openai/clip-vit-base-patch32": "mit",
    "openai/clip-vit-base-patch16": "mit",
    "openai/clip-vit-large-patch14": "mit",
    "laion/CLIP-ViT-B-16-laion2B-s34B-b88K": "mit",
}
"""Name that ``load_clip`` takes to the hub's word for a license: of OpenAI's weights that of the
repository openai/CLIP, of the others that of their model cards."""
LONGEST_CARD = 2**20
"""Characters of a model card that are looked at."""


def license_of(backbone: str) -> str | None:
    """The license of a backbone; None where it is not known.

    Args:
        backbone: its name in a saved classifier. In a folder, the model card is asked.
    """
    if backbone in LICENCES:
        return LICENCES[backbone]
    card = Path(backbone) / "README.md"
    if not card.is_file():
        return None
    with card.open(encoding="utf-8", errors="replace") as file:
        start = file.read(LONGEST_CARD)
    front = re.match(r"---\n(.*?)\n---\n", start, re.DOTALL)
    said = re.search(r"^license: *[\"']?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return said[1] if said else None


def hub_name(backbone: str) -> str | None:
    """The repository of a backbone on the hub; None where it has none."""
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", backbone)
    return backbone if named and not Path(backbone).exists() else None


def inspect_onnx(path: Path) -> dict[str, Any]:
    """What an exported classifier says of itself; torch is not imported.

    Raises:
        RequestError: it is no such file, or damaged.
    """
    from crossprompt.inference.onnx import load_onnx

    return _exported(path, "exported classifier", load_onnx(path, "cpu").information)


def inspect_program(path: Path) -> dict[str, Any]:
    """What an exported torch program says of itself; nothing else of it is read.

    Raises:
        RequestError: it is no such file, or damaged.
    """
    if not path.is_file():
        raise RequestError(f"{path} is no file; expected one that crossprompt export wrote")
    try:
        with ZipFile(path) as archive:
            names = [name for name in archive.namelist() if PurePosixPath(name).name == EXTRA]
            text = archive.open(names[0]).read(LARGEST).decode() if names else None
    except Exception as error:  # each kind of damage to an archive has its own
        raise RequestError(
            f"{path} is damaged or no torch program ({error!s:.200}); copy or export it again"
        ) from error
    if text is None:
        raise RequestError(
            f"{path} is an archive, but none that crossprompt export wrote: it has no {EXTRA}; "
            "give the file that was exported, or export again"
        )
    return _exported(path, "exported torch program", read_exported(text, path))


def _exported(path: Path, kind: str, about: Mapping[str, Any]) -> dict[str, Any]:
    description = dict(about)
    weights = description.pop("weights")
    return {
        "path": str(path),
        "kind": kind,
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
    from crossprompt.methods import find_method
    from crossprompt.methods.heads import FORMS  # which imports torch
    from crossprompt.utils.tensor_file import read_headers

    description = read_description(folder / DESCRIPTION)
    named = description["method"]
    with told(f"{folder / DESCRIPTION} is damaged"):
        check_class_names(description["class_names"])
        method = find_method(named["name"])
        reason = method.bound_by(method.Config.of(named["config"], named["name"]))
        if description["form"] not in FORMS:
            raise RequestError(f"form is {description['form']!r:.60}")
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
        "backbone": {**backbone, "licence": license_of(backbone["name"])},
        "training": description.get("training"),
        "data": description.get("data"),
        "learned_from": len(description.get("learned_from", ())),
        "inference": description.get("inference"),
        "metrics": description.get("metrics"),
        "versions": description.get("versions"),
        "information": more,
    }
