"""A saved classifier: a folder of safetensors and JSON, checked key by key when it is opened.

Nothing is pickled.
"""

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
from crossprompt.methods import Method, build_hollow
from crossprompt.methods.heads import FORMS, check_tensors
from crossprompt.utils.files import ensure_writable, hash_file
from crossprompt.utils.tensor_file import read_headers, read_tensors

SAVING = ".saving"
"""Folder in which a classifier is written before it takes its place."""


def save(classifier: Classifier, folder: Path) -> Path:
    """Write a classifier, all or nothing: an earlier one is replaced as a whole.

    Args:
        classifier: what to save.
        folder: where; other files in it are left alone, also a README.md that is no model card.

    Raises:
        RequestError: the classifier answers by its neighbors, which is for study only, its
            information has keys that are taken, or ``folder`` is a file or cannot be
            written in.
    """
    form = classifier.frozen.form
    if form not in FORMS:
        raise RequestError(
            f"a classifier with inference {form!r} is for study and cannot be saved; freeze it "
            "with calibrated"
        )
    if taken := sorted(OWN & set(classifier.information)):
        raise RequestError(f"the information's {', '.join(taken)} cannot be saved; rename that key")
    with told("the information cannot be saved"):
        check_information(classifier.information)
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; give a folder to save the classifier in")
    ensure_writable(folder)
    written = folder / SAVING
    shutil.rmtree(written, ignore_errors=True)  # of a process that was killed
    written.mkdir()
    try:
        _write(classifier, written)
        _put_in_place(written, folder)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    return folder


def _write(classifier: Classifier, folder: Path) -> None:
    # not save_file, which lets nobody but the user read the file, whatever the umask
    (folder / FROZEN).write_bytes(to_bytes(_plain(classifier.frozen.state_dict())))
    (folder / LEARNED).write_bytes(to_bytes(_plain(classifier.method.state_dict())))
    files = {name: hash_file(folder / name) for name in (FROZEN, LEARNED)}
    description = {**describe(classifier), "files": files, **classifier.information}
    (folder / DESCRIPTION).write_text(json_text(description), "utf-8")
    (folder / CARD).write_text(card_text(description), "utf-8")


def _put_in_place(written: Path, folder: Path) -> None:
    """Move the files of a classifier into its folder, or none if one cannot be moved.

    A process that is killed meanwhile leaves no classifier, never a mixture of two.
    """
    earlier = written / "earlier"
    earlier.mkdir()
    names = [DESCRIPTION, FROZEN, LEARNED, CARD]  # without the first a folder is no classifier
    if (folder / CARD).exists() and not is_card(folder / CARD):
        names.remove(CARD)  # somebody's own notes stay
    there = [name for name in names if (folder / name).exists()]
    try:
        for name in there:
            os.replace(folder / name, earlier / name)
        for name in reversed(names):
            os.replace(written / name, folder / name)
    except BaseException:
        for name in reversed(names):
            if (earlier / name).exists():
                os.replace(earlier / name, folder / name)
            elif name not in there:
                (folder / name).unlink(missing_ok=True)
        raise


def describe(classifier: Classifier) -> dict[str, Any]:
    """What ``crossprompt.load`` must know of a classifier, but for its tensors."""
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
    """Open a saved classifier; nothing is trained or calibrated again.

    Args:
        folder: what ``Classifier.save`` wrote, or ``owner/name`` on the Hugging Face hub; a folder
            that is here is never looked for there.
        clip: its backbone if it is loaded already; loaded by its name otherwise.
        revision: branch, tag or commit on the hub.
        token: for the hub, of a user who may read the repository.
        options: for ``load_clip``, for example ``device`` and ``dtype``.

    Raises:
        RequestError: the folder is no classifier, is damaged, of a newer version, or the backbone
            cannot be loaded or has other weights.
    """
    if isinstance(folder, str) and is_repository(folder):
        with told(f"the classifier {folder} from the hub"):
            return load(fetch(folder, revision, token), clip, **options)
    if revision is not None or token is not None:
        raise RequestError(
            f"revision and token are for the hub, but {str(folder)!r} is no repository's name or "
            "is a place here; leave them out"
        )
    folder = Path(folder)
    description = read_description(folder / DESCRIPTION)
    backbone, names = description["backbone"], description["class_names"]
    if description["form"] not in FORMS:
        raise RequestError(
            f"{folder / DESCRIPTION} is damaged: form is {description['form']!r:.60}, expected "
            f"{' or '.join(FORMS)}"
        )
    if clip is None:
        with told(
            f"the backbone of {folder} cannot be loaded (if it lies elsewhere now: --backbone "
            "PLACE, in Python clip=load_clip(PLACE))"
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
    method = _check_files(folder, description, clip)
    # copies: a view of the file would change with it, and keep Windows from replacing it
    tensors = read_tensors(folder / LEARNED)
    learned = {key: x.to(clip.device, copy=True) for key, x in tensors.items()}
    method.load_state_dict(learned, strict=True, assign=True)
    with told(f"{folder / FROZEN} does not fit its description"):
        form = FORMS[description["form"]]
        frozen = form.from_state(read_tensors(folder / FROZEN), clip, len(names))
    information = {key: value for key, value in description.items() if key not in OWN}
    return Classifier(clip, frozen, names, method.eval(), information)


def _check_files(folder: Path, description: Mapping[str, Any], clip: CLIP) -> Method:
    """Compare both files with what they must hold, before any of it is read.

    Returns:
        The method, whose tensors have no numbers yet.
    """
    names, asked = description["class_names"], description["method"]
    with told(f"{folder / DESCRIPTION} is damaged"):
        method = build_hollow(asked["name"], clip, names, asked["config"])
    learned, constants = (read_headers(folder / name) for name in (LEARNED, FROZEN))
    with told(f"{folder / LEARNED} does not fit its description"):
        method.resize_for(learned)
        check_tensors(learned, {key: tuple(x.shape) for key, x in method.state_dict().items()})
    with told(f"{folder / FROZEN} does not fit its description"):
        FORMS[description["form"]].check_state(constants, clip, len(names))
    for name in (LEARNED, FROZEN):
        _check_hash(folder / name, description["files"][name])
    return method


def _check_hash(path: Path, expected: str) -> None:
    if (found := hash_file(path)) != expected:
        raise RequestError(
            f"{path} is damaged or of another classifier: its SHA-256 is {found!r:.14}, expected "
            f"{expected!r:.14}; copy the whole folder again or train anew"
        )


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}
