"""A saved classifier: a folder of safetensors and JSON, checked key by key when it is opened.
Nothing is pickled."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossprompt.classifier import Classifier
from crossprompt.clip.model import CLIP
from crossprompt.clip.weights import load_clip
from crossprompt.errors import RequestError
from crossprompt.frozen import FORMS
from crossprompt.methods import build_method
from crossprompt.model_card import write_card

FORMAT = 1
"""Version of the folder's layout."""
DESCRIPTION, FROZEN, LEARNED, CARD = (
    "classifier.json",
    "classifier.safetensors",
    "method.safetensors",
    "README.md",
)


def save(classifier: Classifier, folder: Path) -> Path:
    """Write a classifier, all or nothing: an existing one is replaced as a whole.

    Args:
        classifier: what to save.
        folder: where; other files in it are left alone.

    Raises:
        RequestError: the classifier answers by its neighbours, which is for study only, or
        ``folder`` is a file.
    """
    form = classifier.frozen.form
    if form not in FORMS:
        raise RequestError(
            f"a classifier with inference {form!r} is for study and cannot be saved; freeze it with calibrated"
        )
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; give a folder to save the classifier in")
    folder.mkdir(parents=True, exist_ok=True)
    written = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
    try:
        save_file(_plain(classifier.frozen.state_dict()), written / FROZEN)
        save_file(_plain(classifier.method.state_dict()), written / LEARNED)
        description = describe(classifier)
        (written / CARD).write_text(write_card(description), "utf-8")
        text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
        (written / DESCRIPTION).write_text(text, "utf-8")
        # the description last: without it a folder is no classifier
        (folder / DESCRIPTION).unlink(missing_ok=True)
        for name in (FROZEN, LEARNED, CARD, DESCRIPTION):
            os.replace(written / name, folder / name)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    return folder


def describe(classifier: Classifier) -> dict[str, Any]:
    """Everything about a classifier that is not a tensor."""
    method, clip = classifier.method, classifier.clip
    return {
        "format": FORMAT,
        "form": classifier.frozen.form,
        "method": {"name": method.name, "config": method.config.to_json()},
        "backbone": {"name": clip.name, "weights": clip.weights_hash},
        "class_names": list(classifier.class_names),
        "versions": {name: version(name) for name in ("crossprompt", "torch", "safetensors")},
        **classifier.information,
    }


def load(folder: str | os.PathLike[str], clip: CLIP | None = None, **options: Any) -> Classifier:
    """Open a saved classifier.

    Args:
        folder: what ``Classifier.save`` wrote.
        clip: its backbone if it is loaded already; loaded by its name otherwise.
        options: for ``load_clip``, for example ``device`` and ``dtype``.

    Raises:
        RequestError: the folder is no classifier, is damaged, of a newer version, or the backbone
        has other weights.
    """
    folder = Path(folder)
    description = _read_description(folder)
    try:
        backbone, method = description["backbone"], description["method"]
        clip = clip or load_clip(backbone["name"], **options)
        class_names = description["class_names"]
        form = FORMS[description["form"]]
        name, config = method["name"], method["config"]
    except (KeyError, TypeError) as error:
        raise RequestError(f"{folder / DESCRIPTION} is damaged: it has no valid {error}") from error
    if clip.weights_hash != backbone["weights"]:
        raise RequestError(
            f"{folder} was made with {backbone['name']} of weights {str(backbone['weights'])[:12]}, "
            f"found weights {clip.weights_hash[:12]}; load the backbone it was made with"
        )
    built = build_method(name, clip, class_names, **config)
    _load_learned(built, folder / LEARNED)
    try:
        frozen = form.from_state(_read_tensors(folder / FROZEN), clip, len(class_names))
    except ValueError as error:
        raise RequestError(f"{folder / FROZEN} does not fit its description: {error}") from error
    known = {"format", "form", "method", "backbone", "class_names", "versions"}
    information = {key: value for key, value in description.items() if key not in known}
    return Classifier(clip, frozen, class_names, built.eval(), information)


def _load_learned(method: torch.nn.Module, path: Path) -> None:
    try:
        method.load_state_dict(_read_tensors(path), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RequestError(f"{path} does not fit its description: {reason}") from error


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.exists():
        found = "a folder without it" if folder.is_dir() else "no such folder"
        raise RequestError(
            f"{folder} is no saved classifier: expected a folder with {DESCRIPTION}, found {found}; "
            "make one with: crossprompt fit DATA --output FOLDER"
        )
    try:
        description = json.loads(path.read_text("utf-8"))
        found_version = description["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"{path} is damaged, expected a JSON object with a format: {error}"
        ) from error
    if found_version != FORMAT:
        raise RequestError(
            f"{path} has format {found_version!r}, this crossprompt reads format {FORMAT}; "
            "install the release that wrote it"
        )
    return dict(description)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RequestError(
            f"{path} cannot be read: {error}; copy it again or train anew"
        ) from error


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}
