"""How to compute, as options, and a saved classifier opened accordingly."""

import argparse
from pathlib import Path

from crossprompt.artifact import DESCRIPTION, load
from crossprompt.classifier import BATCH, Classifier
from crossprompt.clip.weights import load_clip
from crossprompt.errors import RequestError
from crossprompt.precision import choose_device, choose_dtype
from crossprompt.run_folder import RUN


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and in what, to compute."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--dtype", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")


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


def open_classifier(run: Path, options: argparse.Namespace) -> Classifier:
    """The classifier of a run, on the device that was asked for.

    Raises:
        RequestError: the run is not finished, or the folder holds no classifier.
    """
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
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    if options.backbone is None:
        return load(run, device=device, dtype=dtype)
    return load(run, load_clip(options.backbone, device=device, dtype=dtype))
