"""``crossprompt classes``: a saved classifier for other classes, without training.

It is saved as a classifier of its own that every command takes; its class texts are encoded once.
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
    add_run(parser)
    parser.add_argument("names", nargs="+", metavar="NAME", help="names of the new classes")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new classifier")
    parser.add_argument("--add", action="store_true", help="keep the present classes as well")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the classifier in --output"
    )
    add_backbone(parser)
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    if (options.output / DESCRIPTION).exists() and not options.overwrite:
        raise RequestError(
            f"{options.output} holds a classifier already; give --overwrite or another --output"
        )
    classifier = open_classifier(options.run, options.backbone, options.device, options.dtype)
    present = classifier.class_names if options.add else ()
    if known := [name for name in options.names if name in present]:
        raise RequestError(f"{options.run} has the class {known[0]!r} already; leave it out")
    names = [*present, *options.names]
    classifier.with_classes(names).save(options.output)
    print(f"Written to {options.output}: {len(names)} classes, not measured yet.")
    return 0
