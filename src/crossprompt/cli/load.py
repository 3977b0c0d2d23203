"""Which saved classifier, as options, and the classifier opened."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.inference.onnx import OnnxClassifier, load_onnx

if TYPE_CHECKING:
    from crossprompt.classifier.classifier import Classifier

ONNX = ".onnx"
"""Ending of an exported classifier."""
SAVED = "folder of a saved classifier, {}owner/name[@revision] of one on the Hugging Face hub"


def add_run(parser: argparse.ArgumentParser) -> None:
    """A saved classifier; see ``open_classifier``."""
    parser.add_argument("run", type=Path, help=SAVED.format("or "))


def add_run_or_export(parser: argparse.ArgumentParser) -> None:
    """A saved classifier, or an exported one; see ``open_predictor``."""
    parser.add_argument(
        "run",
        type=Path,
        help=f"{SAVED.format('')}, or an .onnx file that crossprompt export wrote",
    )


def add_backbone(parser: argparse.ArgumentParser) -> None:
    """Where the backbone is, if it has moved since the classifier was fitted."""
    parser.add_argument(
        "--backbone",
        help="hub id, folder or file of the backbone, where it is not (any more) where the "
        "classifier was fitted",
    )


def open_classifier(run: Path, backbone: str | None, device: str, dtype: str) -> "Classifier":
    """The classifier of a run.

    Args:
        run: its folder, or what names it on the hub.
        backbone: where its backbone is, if not where it was.
        device: where to compute.
        dtype: what the frozen towers compute in.

    Raises:
        RequestError: the run is not finished, or the folder holds no classifier.
    """
    # here, as they import torch, which who opens an exported classifier may not have
    from crossprompt.classifier.saving import load
    from crossprompt.clip.load import load_clip
    from crossprompt.utils.device import choose_device, choose_dtype

    if run.suffix.lower() == ONNX and run.is_file():
        raise RequestError(
            f"{run} is an exported classifier; give the folder of the run that it was made of"
        )
    run = find_run(run)
    check_finished(run)
    place = choose_device(device)
    kind = choose_dtype(dtype, place)
    if backbone is None:
        return load(run, device=place, dtype=kind)
    return load(run, load_clip(backbone, device=place, dtype=kind))


def find_run(run: Path) -> Path:
    """The folder of a classifier, fetched from the hub if it is ``owner/name[@revision]`` there.

    Raises:
        RequestError: the hub has no such classifier, or cannot be reached.
    """
    from crossprompt.classifier.hub import fetch, is_repository

    name, _, revision = run.as_posix().partition("@")
    if run.exists() or not is_repository(name):
        return run
    return fetch(name, revision or None)


def check_finished(run: Path) -> None:
    """``RequestError`` if there is a run, but its classifier is somewhere else or not yet there."""
    from crossprompt.training.run_folder import RUN  # which imports torch

    if (run / RUN).exists() and not (run / DESCRIPTION).exists():
        if tasks := sorted(path.parent for path in run.glob(f"*/{DESCRIPTION}")):
            raise RequestError(
                f"{run} holds a classifier for each of several data sets; give one of "
                f"{', '.join(map(str, tasks))}"
            )
        raise RequestError(
            f"{run} holds a run that is not finished; finish it with the command that began it "
            "and --resume"
        )


def open_predictor(
    run: Path, backbone: str | None, device: str, dtype: str
) -> "Classifier | OnnxClassifier":
    """The classifier of a run, or an exported one, for which torch is not imported.

    Args:
        run: as for ``open_classifier``, or an exported file.
        backbone: as for ``open_classifier``; None for an exported one.
        device: where to compute.
        dtype: as for ``open_classifier``; fp32 for an exported one.

    Raises:
        RequestError: it cannot be opened, or an option does not go with an exported one.
    """
    if run.suffix.lower() != ONNX or run.is_dir():
        return open_classifier(run, backbone, device, dtype)
    if backbone is not None:
        raise RequestError(f"{run} holds all that it needs of its backbone; leave out --backbone")
    if dtype not in ("auto", "fp32"):
        raise RequestError(
            f"{run} computes in fp32, whatever its weights are stored in; leave out --dtype {dtype}"
        )
    return load_onnx(run, device)
