"""A saved classifier: a folder of safetensors and JSON, checked key by key when it is opened.

Nothing is pickled.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from crossprompt.classifier import Classifier
from crossprompt.clip.model import CLIP
from crossprompt.clip.weights import load_clip
from crossprompt.errors import RequestError
from crossprompt.frozen import FORMS, check_tensors
from crossprompt.methods import Method, build_from
from crossprompt.model_card import write_card

FORMAT = 1
"""Version of the folder's layout."""
DESCRIPTION, FROZEN, LEARNED, CARD = (
    "classifier.json",
    "classifier.safetensors",
    "method.safetensors",
    "README.md",
)
SAVING = ".saving"
"""Folder in which a classifier is written before it takes its place."""
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
OWN = {"format", "versions", *(path[0] for path in TYPES)}
"""Keys of a description that are not the caller's information."""


def save(classifier: Classifier, folder: Path) -> Path:
    """Write a classifier, all or nothing: an earlier one is replaced as a whole.

    Args:
        classifier: what to save.
        folder: where; other files in it are left alone.

    Raises:
        RequestError: the classifier answers by its neighbours, which is for study only, its
            information has keys that are taken, or ``folder`` is a file.
    """
    form = classifier.frozen.form
    if form not in FORMS:
        raise RequestError(
            f"a classifier with inference {form!r} is for study and cannot be saved; freeze it "
            "with calibrated"
        )
    if taken := sorted(OWN & set(classifier.information)):
        raise RequestError(f"the information's {', '.join(taken)} cannot be saved; rename that key")
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; give a folder to save the classifier in")
    written = folder / SAVING
    shutil.rmtree(written, ignore_errors=True)  # of a process that was killed
    written.mkdir(parents=True)
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
    files = {name: _hash(folder / name) for name in (FROZEN, LEARNED)}
    description = {**describe(classifier), "files": files, **classifier.information}
    text = json.dumps(description, indent=2, ensure_ascii=False, default=str)
    (folder / DESCRIPTION).write_text(text + "\n", "utf-8")
    (folder / CARD).write_text(write_card(description), "utf-8")


def _put_in_place(written: Path, folder: Path) -> None:
    """Move the files of a classifier into its folder, or none if one cannot be moved.

    A process that is killed meanwhile leaves no classifier, never a mixture of two.
    """
    earlier = written / "earlier"
    earlier.mkdir()
    names = (DESCRIPTION, FROZEN, LEARNED, CARD)  # without the first a folder is no classifier
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


def load(folder: str | os.PathLike[str], clip: CLIP | None = None, **options: Any) -> Classifier:
    """Open a saved classifier; nothing is trained or calibrated again.

    Args:
        folder: what ``Classifier.save`` wrote.
        clip: its backbone if it is loaded already; loaded by its name otherwise.
        options: for ``load_clip``, for example ``device`` and ``dtype``.

    Raises:
        RequestError: the folder is no classifier, is damaged, of a newer version, or the backbone
            cannot be loaded or has other weights.
    """
    folder = Path(folder)
    description = _read_description(folder / DESCRIPTION)
    backbone, names = description["backbone"], description["class_names"]
    if clip is None:
        with _told(
            f"the backbone of {folder} cannot be loaded (if it lies elsewhere now: --backbone "
            "PLACE, in Python clip=load_clip(PLACE))"
        ):
            clip = load_clip(backbone["name"], **options)
    elif options:
        raise RequestError(f"{', '.join(options)} is for loading a backbone, but clip was given")
    if clip.weights_hash != backbone["weights"]:
        raise RequestError(
            f"{folder} was made with the backbone {backbone['name']!r:.60} of weights "
            f"{backbone['weights']!r:.14}, found {clip.name!r:.60} of {clip.weights_hash!r:.14}; "
            "load the one it was made with"
        )
    with _told(f"{folder / DESCRIPTION} is damaged"):
        asked = description["method"]
        method = build_from(asked["name"], clip, names, asked["config"])
    learned, constants = (_read_tensors(folder / name) for name in (LEARNED, FROZEN))
    with _told(f"{folder / LEARNED} does not fit its description"):
        _load_learned(method, learned)
    with _told(f"{folder / FROZEN} does not fit its description"):
        frozen = FORMS[description["form"]].from_state(constants, clip, len(names))
    for name in (LEARNED, FROZEN):
        _check_hash(folder / name, description["files"][name])
    information = {key: value for key, value in description.items() if key not in OWN}
    return Classifier(clip, frozen, names, method.eval(), information)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Put what it was about before an error's message."""
    try:
        yield
    except ValueError as error:  # RequestError is one
        raise RequestError(f"{what}: {error}") from error


def _read_description(path: Path) -> dict[str, Any]:
    if not path.exists():
        found = "a folder without it" if path.parent.is_dir() else "no such folder"
        raise RequestError(
            f"{path.parent} is no saved classifier: expected a folder with {path.name}, found "
            f"{found}; make one with: crossprompt fit DATA --output FOLDER"
        )
    try:
        description = json.loads(path.read_text("utf-8"))
        found_version = description["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__} {error}"
        raise RequestError(
            f"{path} is damaged, expected a JSON object with a format, found {reason}; copy it "
            "again or train anew"
        ) from error
    if found_version != FORMAT:
        raise RequestError(
            f"{path} has format {found_version!r}, this crossprompt reads format {FORMAT}; "
            "install the release that wrote it"
        )
    with _told(f"{path} is damaged"):
        _check_types(description)
    return dict(description)


def _check_types(description: Mapping[str, Any]) -> None:
    for path, expected in TYPES.items():
        value: Any = description
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, expected):
            raise ValueError(f"{'.'.join(path)} is {value!r:.60}, expected a {expected.__name__}")
    if description["form"] not in FORMS:
        raise ValueError(f"form is {description['form']!r:.60}, expected {' or '.join(FORMS)}")
    for name in description["class_names"]:
        if not isinstance(name, str):
            raise ValueError(f"class_names holds {name!r:.60}, expected a str")


def _load_learned(method: Method, learned: Mapping[str, Tensor]) -> None:
    method.make_room(learned)
    check_tensors(learned, {key: tuple(x.shape) for key, x in method.state_dict().items()})
    method.load_state_dict(learned, strict=True)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RequestError(
            f"{path} cannot be read: {error}; copy it again or train anew"
        ) from error


def _check_hash(path: Path, expected: str) -> None:
    if (found := _hash(path)) != expected:
        raise RequestError(
            f"{path} is damaged or of another classifier: its SHA-256 is {found!r:.14}, expected "
            f"{expected!r:.14}; copy the whole folder again or train anew"
        )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}
