"""Opens the saved classifier that a command names, and defines the options for it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from crossprompt.cli.args import add_device_arguments, add_option
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION
from crossprompt.inference.onnx import OnnxClassifier, load_onnx

if TYPE_CHECKING:
    from crossprompt.classifier.classifier import Classifier

ONNX = ".onnx"


def add_run(parser: argparse.ArgumentParser, exported: bool = False) -> None:
    """Add the classifier; ``exported`` if the command opens it with ``open_predictor``."""
    places = "folder of a saved classifier, or owner/name[@revision] of one on the Hugging Face hub"
    file = ", or an .onnx file that crossprompt export wrote" if exported else ""
    parser.add_argument("run", type=Path, help=f"{places}{file}")


def add_backbone(parser: argparse.ArgumentParser, device: bool = True) -> None:
    """Add how the classifier is loaded; without options for the device, in fp32 on the CPU."""
    place = "hub id, folder or file of the backbone, if it has moved since the training"
    add_option(parser, "--backbone", place)
    if device:
        add_device_arguments(parser)
    else:
        parser.set_defaults(device="cpu", dtype="fp32")


def open_classifier(options: argparse.Namespace) -> "Classifier":
    """Load a saved classifier from its folder or the hub, with the dtype of its frozen towers."""
    # deferred: they import torch, which an exported classifier does not need
    from crossprompt.classifier.loading import load
    from crossprompt.clip.load import load_clip
    from crossprompt.utils.device import choose_device, choose_dtype

    run = options.run
    if run.suffix.lower() == ONNX and run.is_file():
        raise RequestError(
            f"{run} is an exported classifier; give the folder of the run that it was made of"
        )
    run = find_run(run)
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    if options.backbone is None:
        return load(run, device=device, dtype=dtype)
    return load(run, load_clip(options.backbone, device=device, dtype=dtype))


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
    if (run / DESCRIPTION).exists():
        return
    from crossprompt.training.fit import RUN  # slow

    if not (run / RUN).exists():
        return
    if tasks := sorted(str(path.parent) for path in run.glob(f"*/{DESCRIPTION}")):
        raise RequestError(
            f"{run} holds a classifier for each of several data sets; give one of "
            f"{', '.join(tasks)}"
        )
    raise RequestError(
        f"{run} holds a run that is not finished; finish it with the same command and --resume"
    )


def open_predictor(options: argparse.Namespace) -> "Classifier | OnnxClassifier":
    """Load a saved classifier, or an exported one without importing torch."""
    run = options.run
    if run.suffix.lower() != ONNX or run.is_dir():
        return open_classifier(options)
    if options.backbone is not None:
        raise RequestError(f"{run} includes its backbone; leave out --backbone")
    if options.dtype not in ("auto", "fp32"):
        raise RequestError(
            f"{run} computes in fp32, whatever its weights are stored in; leave out --dtype "
            f"{options.dtype}"
        )
    return load_onnx(run, options.device)
