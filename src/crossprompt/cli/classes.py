"""``crossprompt classes``: a saved classifier for other classes, without training.

It writes a classifier of its own, so that every other command takes it, and class texts are
encoded once.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crossprompt.cli.args import add_device_arguments
from crossprompt.cli.load import add_backbone, add_run, open_classifier
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION

EXAMPLE = "crossprompt classes runs/photos-dcp tabby dog --output runs/others"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the new classifier."""
    add_run(parser)
    parser.add_argument("names", nargs="+", metavar="NAME", help="the classes to tell apart")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new classifier")
    parser.add_argument(
        "--add", action="store_true", help="keep the classes there are, and add these"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a classifier that is in --output"
    )
    add_backbone(parser)
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Encode the classes with the frozen prompts, save, and say where."""
    if (options.output / DESCRIPTION).exists() and not options.overwrite:
        raise RequestError(
            f"{options.output} holds a classifier already; replace it by --overwrite, or choose "
            "another --output"
        )
    classifier = open_classifier(options.run, options.backbone, options.device, options.dtype)
    there = classifier.class_names if options.add else ()
    if known := [name for name in options.names if name in there]:
        raise RequestError(
            f"{options.run} knows the class {known[0]!r} already; --add takes new ones only"
        )
    names = [*there, *options.names]
    classifier.with_classes(names).save(options.output)
    print(f"Written to {options.output}: {len(names)} classes. Nothing of it is measured yet.")
    return 0
