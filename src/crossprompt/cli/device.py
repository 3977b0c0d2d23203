"""How to compute, as options, and a saved classifier opened accordingly."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from crossprompt.description import DESCRIPTION
from crossprompt.errors import RequestError
from crossprompt.onnx_classifier import OnnxClassifier, load_onnx
from crossprompt.prediction import BATCH

if TYPE_CHECKING:
    from crossprompt.classifier import Classifier

ONNX = ".onnx"
"""Ending of an exported classifier."""


def add_run(parser: argparse.ArgumentParser) -> None:
    """The classifier, exported or not; see ``open_predictor``."""
    parser.add_argument(
        "run",
        type=Path,
        help="folder of a saved classifier, owner/name[@revision] of one on the Hugging Face hub, "
        "or an .onnx file that crossprompt export wrote",
    )


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and in what, to compute."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--dtype",
        default="auto",
        help="auto (bf16 where the hardware has it), fp32, bf16 or fp16 (default: auto)",
    )


def add_backbone(parser: argparse.ArgumentParser) -> None:
    """Where the backbone is, if it has moved since the classifier was fitted."""
    parser.add_argument(
        "--backbone",
        help="hub id, folder or file of the backbone, where it is not (any more) where the "
        "classifier was fitted",
    )


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    """How many images to classify at a time."""
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=BATCH,
        metavar="INT",
        help=f"images at a time (default: {BATCH})",
    )


def positive(word: str) -> int:
    """The whole number above 0 that a word says."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number above 0")
    return int(word)


def not_negative(word: str) -> float:
    """The number of 0 or more that a word says."""
    try:
        if 0 <= (number := float(word)) < float("inf"):
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{word!r} is not a number of 0 or more")


def open_classifier(run: Path, options: argparse.Namespace) -> "Classifier":
    """The classifier of a run, on the device that was asked for.

    Raises:
        RequestError: the run is not finished, or the folder holds no classifier.
    """
    # here, as they import torch, which who opens an exported classifier may not have
    from crossprompt.artifact import load
    from crossprompt.clip.weights import load_clip
    from crossprompt.precision import choose_device, choose_dtype

    if run.suffix.lower() == ONNX and run.is_file():
        raise RequestError(
            f"{run} is an exported classifier; give the folder of the run that it was made of"
        )
    run = find_run(run)
    check_finished(run)
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    if options.backbone is None:
        return load(run, device=device, dtype=dtype)
    return load(run, load_clip(options.backbone, device=device, dtype=dtype))


def find_run(run: Path) -> Path:
    """The folder of a classifier, fetched from the hub if it is ``owner/name[@revision]`` there.

    Raises:
        RequestError: the hub has no such classifier, or cannot be reached.
    """
    from crossprompt.hub import fetch, is_repository

    name, _, revision = run.as_posix().partition("@")
    if run.exists() or not is_repository(name):
        return run
    return fetch(name, revision or None)


def check_finished(run: Path) -> None:
    """``RequestError`` if there is a run, but its classifier is somewhere else or not yet there."""
    from crossprompt.run_folder import RUN  # which imports torch

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


def open_predictor(run: Path, options: argparse.Namespace) -> "Classifier | OnnxClassifier":
    """The classifier of a run, or an exported one, for which torch is not imported.

    Raises:
        RequestError: it cannot be opened, or an option does not go with an exported one.
    """
    if run.suffix.lower() != ONNX or run.is_dir():
        return open_classifier(run, options)
    if options.backbone is not None:
        raise RequestError(f"{run} holds all that it needs of its backbone; leave out --backbone")
    if options.dtype not in ("auto", "fp32"):
        raise RequestError(
            f"{run} computes in fp32, whatever its weights are stored in; leave out --dtype "
            f"{options.dtype}"
        )
    return load_onnx(run, options.device)
