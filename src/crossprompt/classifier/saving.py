"""Saves a classifier as a folder of safetensors and JSON, and loads it; nothing is pickled."""

import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import Tensor

from crossprompt.classifier.classifier import Classifier
from crossprompt.classifier.hub import fetch, is_repository
from crossprompt.classifier.info import check_hash
from crossprompt.classifier.model_card import card_text, is_card
from crossprompt.clip.load import load_clip
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
    read_description,
    told,
)
from crossprompt.methods import build_hollow
from crossprompt.methods.heads import FORMS, check_tensors
from crossprompt.utils.files import ensure_writable, hash_file
from crossprompt.utils.tensor_file import read_headers, read_tensors

SAVING = ".saving"
"""Subfolder in which a classifier is written before its files are moved into place."""


def save(classifier: Classifier, folder: Path) -> Path:
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
    with told("the information cannot be saved"):
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


def _write(classifier: Classifier, folder: Path) -> None:
    # save_file would ignore the umask and let only the user read the file
    (folder / FROZEN).write_bytes(to_bytes(_plain(classifier.frozen.state_dict())))
    (folder / LEARNED).write_bytes(to_bytes(_plain(classifier.method.state_dict())))
    files = {name: hash_file(folder / name) for name in (FROZEN, LEARNED)}
    description = {**describe(classifier), "files": files, **classifier.information}
    (folder / DESCRIPTION).write_text(json_text(description), "utf-8")
    (folder / CARD).write_text(card_text(description), "utf-8")


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


def describe(classifier: Classifier) -> dict[str, Any]:
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


def load(
    folder: str | os.PathLike[str],
    clip: CLIP | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
    **options: Any,
) -> Classifier:
    """Load a saved classifier; nothing is trained or calibrated again.

    Args:
        folder: folder that ``Classifier.save`` wrote, or ``owner/name`` on the Hugging Face hub if
            there is no such folder.
        clip: its backbone; loaded by its name if None.
        revision: branch, tag or commit on the hub.
        token: token of a user of the hub who may read the repository.
        options: options of ``load_clip``, for example ``device`` and ``dtype``.

    Raises:
        RequestError: the folder is no classifier, damaged or of a newer format, or the backbone
            cannot be loaded or has other weights.
    """
    if isinstance(folder, str) and is_repository(folder):
        fetched = fetch(folder, revision, token)
        with told(f"the classifier {folder} from the hub"):
            return load(fetched, clip, **options)
    if revision is not None or token is not None:
        raise RequestError(f"revision and token are for the hub, {str(folder)!r} is not from there")
    folder = Path(folder)
    description = read_description(folder / DESCRIPTION)
    backbone, names = description["backbone"], description["class_names"]
    if (form := FORMS.get(description["form"])) is None:
        raise RequestError(f"{folder / DESCRIPTION} is damaged: form {description['form']!r:.60}")
    if clip is None:
        with told(
            f"the backbone of {folder} cannot be loaded (if it has moved: --backbone PLACE, in "
            "Python clip=load_clip(PLACE))"
        ):
            clip = load_clip(backbone["name"], **options)
    elif options:
        raise RequestError(f"{', '.join(options)} is for loading a backbone, but clip was given")
    if clip.weights_hash != backbone["weights"]:
        raise RequestError(
            f"{folder} was made with the backbone {backbone['name']!r:.60} of weights "
            f"{backbone['weights'][:12]!r}, found {clip.name!r:.60} of {clip.weights_hash[:12]!r}; "
            "load the one it was made with"
        )
    with told(f"{folder / DESCRIPTION} is damaged"):
        named = description["method"]
        method = build_hollow(named["name"], clip, names, named["config"])
    # headers and hashes of both files are checked before any tensor takes memory
    learned, constants = (read_headers(folder / name) for name in (LEARNED, FROZEN))
    with told(f"{folder / LEARNED} does not fit its description"):
        method.resize_for(learned)
        check_tensors(learned, {key: tuple(x.shape) for key, x in method.state_dict().items()})
    with told(f"{folder / FROZEN} does not fit its description"):
        form.check_state(constants, clip, len(names))
    for name in (LEARNED, FROZEN):
        check_hash(folder / name, description["files"][name])
    # copies: a view of the file would change with it, and keep Windows from replacing it
    tensors = read_tensors(folder / LEARNED)
    state = {key: x.to(clip.device, copy=True) for key, x in tensors.items()}
    method.load_state_dict(state, strict=True, assign=True)
    with told(f"{folder / FROZEN} does not fit its description"):
        frozen = form.from_state(read_tensors(folder / FROZEN), clip, len(names))
    information = {key: value for key, value in description.items() if key not in OWN}
    return Classifier(clip, frozen, names, method.eval(), information)


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}
