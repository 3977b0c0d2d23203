"""Saves a classifier as a folder of safetensors and JSON; nothing is pickled."""

import os
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors.torch import save as to_bytes

from crossprompt.classifier.model_card import card_text, is_card
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import (
    CARD,
    DESCRIPTION,
    FORMAT,
    FROZEN,
    LEARNED,
    OWN,
    check_information,
    json_text,
    prefix_errors,
)
from crossprompt.methods import Method
from crossprompt.methods.heads import FORMS, Frozen
from crossprompt.utils.files import ensure_writable, hash_file

SAVING = ".saving"
"""Subfolder in which a classifier is written before its files are moved into place."""


@runtime_checkable
class Saveable(Protocol):
    """Parts of a classifier that are saved; see ``Classifier``."""

    clip: CLIP
    frozen: Frozen
    method: Method
    information: dict[str, Any]

    @property
    def class_names(self) -> Sequence[str]:
        """Class names, in the order of the scores."""


def save(classifier: Saveable, folder: Path) -> Path:
    """Write a classifier, all or nothing: an earlier one in the folder is replaced as a whole.

    Other files in the folder stay, also a README.md that is no model card.

    Raises:
        RequestError: the inference mode depends on the batch, a key of the information is taken,
            or the folder cannot be written.
    """
    form = classifier.frozen.form
    if form not in FORMS:
        raise RequestError(f"a classifier with inference {form!r} cannot be saved; use calibrated")
    if taken := sorted(OWN & set(classifier.information)):
        raise RequestError(f"the information's {', '.join(taken)} cannot be saved; rename that key")
    with prefix_errors("the information cannot be saved"):
        check_information(classifier.information)
    ensure_writable(folder)
    written = folder / SAVING
    shutil.rmtree(written, ignore_errors=True)  # left by a killed process
    written.mkdir()
    try:
        _write(classifier, written)
        _put_in_place(written, folder)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    return folder


def _write(classifier: Saveable, folder: Path) -> None:
    files = {}
    for name, module in ((FROZEN, classifier.frozen), (LEARNED, classifier.method)):
        tensors = {key: x.detach().cpu().contiguous() for key, x in module.state_dict().items()}
        # save_file would ignore the umask and let only the user read the file
        (folder / name).write_bytes(to_bytes(tensors))
        files[name] = hash_file(folder / name)
    description = {**to_description(classifier), "files": files, **classifier.information}
    (folder / DESCRIPTION).write_text(json_text(description), "utf-8")
    (folder / CARD).write_text(card_text(description, classifier.method.paper), "utf-8")


def _put_in_place(written: Path, folder: Path) -> None:
    """Move all files of a classifier into its folder, or none if one cannot be moved; a process
    killed meanwhile leaves no classifier, never a mixture of two."""
    earlier = written / "earlier"
    earlier.mkdir()
    names = [DESCRIPTION, FROZEN, LEARNED, CARD]  # without the first a folder is no classifier
    if (folder / CARD).exists() and not is_card(folder / CARD):
        names.remove(CARD)  # the user's own notes
    replaced = [name for name in names if (folder / name).exists()]
    try:
        for name in replaced:
            os.replace(folder / name, earlier / name)
        for name in reversed(names):
            os.replace(written / name, folder / name)
    except BaseException:
        for name in reversed(names):
            if (earlier / name).exists():
                os.replace(earlier / name, folder / name)
            elif name not in replaced:
                (folder / name).unlink(missing_ok=True)
        raise


def to_description(classifier: Saveable) -> dict[str, Any]:
    """Content of ``classifier.json`` without the hashes and the caller's information."""
    method, clip = classifier.method, classifier.clip
    return {
        "format": FORMAT,
        "form": classifier.frozen.form,
        "method": {"name": method.name, "config": method.config.to_json()},
        "backbone": {"name": clip.name, "weights": clip.weights_hash},
        "class_names": list(classifier.class_names),
        "versions": {name: version(name) for name in ("crossprompt", "torch", "safetensors")},
    }
