"""Loads a saved classifier, with every key, shape and hash checked before it is used."""

import os
from pathlib import Path
from typing import Any

from crossprompt.classifier.classifier import Classifier
from crossprompt.classifier.hub import fetch, is_repository
from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import (
    DESCRIPTION,
    FROZEN,
    LEARNED,
    OWN,
    prefix_errors,
    read_description,
)
from crossprompt.methods import build_hollow
from crossprompt.methods.heads import FORMS, check_tensors
from crossprompt.utils.files import hash_file
from crossprompt.utils.tensor_file import read_headers, read_tensors


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
        with prefix_errors(f"the classifier {folder} from the hub"):
            return load(fetched, clip, **options)
    if revision is not None or token is not None:
        raise RequestError(f"revision and token are for the hub, {str(folder)!r} is not from there")
    folder = Path(folder)
    description = read_description(folder / DESCRIPTION)
    backbone, names = description["backbone"], description["class_names"]
    if (form := FORMS.get(description["form"])) is None:
        raise RequestError(f"{folder / DESCRIPTION} is damaged: form {description['form']!r:.60}")
    if clip is None:
        with prefix_errors(
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
    with prefix_errors(f"{folder / DESCRIPTION} is damaged"):
        named = description["method"]
        method = build_hollow(named["name"], clip, names, named["config"])
    # headers and hashes of both files are checked before any tensor takes memory
    learned, constants = (read_headers(folder / name) for name in (LEARNED, FROZEN))
    with prefix_errors(f"{folder / LEARNED} does not fit its description"):
        method.resize_for(learned)
        check_tensors(learned, {key: tuple(x.shape) for key, x in method.state_dict().items()})
    with prefix_errors(f"{folder / FROZEN} does not fit its description"):
        form.check_state(constants, clip, len(names))
    for name in (LEARNED, FROZEN):
        check_hash(folder / name, description["files"][name])
    # copies: a view of the file would change with it, and keep Windows from replacing it
    tensors = read_tensors(folder / LEARNED)
    state = {key: x.to(clip.device, copy=True) for key, x in tensors.items()}
    method.load_state_dict(state, strict=True, assign=True)
    with prefix_errors(f"{folder / FROZEN} does not fit its description"):
        frozen = form.from_state(read_tensors(folder / FROZEN), clip, len(names))
    information = {key: value for key, value in description.items() if key not in OWN}
    return Classifier(clip, frozen, names, method.eval(), information)


def check_hash(path: Path, expected: str) -> None:
    """``RequestError`` unless a file has the SHA-256 that its description gives."""
    if (found := hash_file(path)) != expected:
        raise RequestError(
            f"{path} is damaged or of another classifier: its SHA-256 is {found!r:.14}, expected "
            f"{expected!r:.14}; copy the whole folder again or train anew"
        )
