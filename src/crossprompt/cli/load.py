"""Opens the saved classifier that a command names, and defines the options for it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.inference.onnx import OnnxClassifier, load_onnx

if TYPE_CHECKING:
    from crossprompt.classifier.classifier import Classifier

ONNX = ".onnx"
SAVED = "folder of a saved classifier, {}owner/name[@revision] of one on the Hugging Face hub"


def add_run(parser: argparse.ArgumentParser) -> None:
    """Option of ``open_classifier``."""
    parser.add_argument("run", type=Path, help=SAVED.format("or "))


def add_run_or_export(parser: argparse.ArgumentParser) -> None:
    """Option of ``open_predictor``."""
    parser.add_argument(
        "run",
        type=Path,
        help=f"{SAVED.format('')}, or an .onnx file that crossprompt export wrote",
    )


def add_backbone(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backbone",
        help="hub id, folder or file of the backbone, if it has moved since the training",
    )


def open_classifier(run: Path, backbone: str | None, device: str, dtype: str) -> "Classifier":
    """Load a saved classifier from its folder or the hub, with the dtype of its frozen towers."""
    # deferred: they import torch, which an exported classifier does not need
    from crossprompt.classifier.loading import load
    from crossprompt.clip.load import load_clip
    from crossprompt.utils.device import choose_device, choose_dtype

    if run.suffix.lower() == ONNX and run.is_file():
        raise RequestError(
            f"{run} is an exported classifier; give the folder of the run that it was made of"
        )
    run = find_run(run)
    place = choose_device(device)
    kind = choose_dtype(dtype, place)
    if backbone is None:
        return load(run, device=place, dtype=kind)
    return load(run, load_clip(backbone, device=place, dtype=kind))


def find_run(run: Path) -> Path:
    """Folder of a finished classifier, downloaded if ``owner/name[@revision]`` is on the hub."""
    from crossprompt.classifier.hub import fetch, is_repository

    name, _, revision = run.as_posix().partition("@")
    if not run.exists() and is_repository(name):
        return fetch(name, revision or None)
    check_finished(run)
    return run


def check_finished(run: Path) -> None:
    """``RequestError`` if a run has no classifier yet, or one for each of several data sets."""
    from crossprompt.training.fit import RUN  # imports torch

    if not (run / RUN).exists() or (run / DESCRIPTION).exists():
        return
    if tasks := sorted(str(path.parent) for path in run.glob(f"*/{DESCRIPTION}")):
        raise RequestError(
            f"{run} holds a classifier for each of several data sets; give one of "
            f"{', '.join(tasks)}"
        )
    raise RequestError(
        f"{run} holds a run that is not finished; finish it with the same command and --resume"
    )


def open_predictor(
    run: Path, backbone: str | None, device: str, dtype: str
) -> "Classifier | OnnxClassifier":
    """Load a saved classifier, or an exported one without importing torch."""
    if run.suffix.lower() != ONNX or run.is_dir():
        return open_classifier(run, backbone, device, dtype)
    if backbone is not None:
        raise RequestError(f"{run} includes its backbone; leave out --backbone")
    if dtype not in ("auto", "fp32"):
        raise RequestError(
            f"{run} computes in fp32, whatever its weights are stored in; leave out --dtype {dtype}"
        )
    return load_onnx(run, device)
