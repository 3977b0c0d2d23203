"""``crossprompt classes``: a saved classifier for other classes, without training.

It is saved as a classifier of its own that every command takes; its class texts are encoded once.
"""

import argparse
from pathlib import Path

from crossprompt.cli.args import add_flag, add_option
from crossprompt.cli.load import add_backbone, add_run, open_classifier
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import DESCRIPTION

EXAMPLE = "crossprompt classes runs/photos-dcp tabby dog --output runs/others"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("names", nargs="+", metavar="NAME", help="names of the new classes")
    add_option(parser, "--output", "folder of the new classifier", type=Path, required=True)
    add_flag(parser, "--add", "keep the present classes as well")
    add_flag(parser, "--overwrite", "replace the classifier in --output")
    add_backbone(parser)


def run(options: argparse.Namespace) -> int:
    if (options.output / DESCRIPTION).exists() and not options.overwrite:
        raise RequestError(
            f"{options.output} holds a classifier already; give --overwrite or another --output"
        )
    classifier = open_classifier(options)
    present = classifier.class_names if options.add else ()
    if known := [name for name in options.names if name in present]:
        raise RequestError(f"{options.run} has the class {known[0]!r} already; leave it out")
    names = [*present, *options.names]
    classifier.with_classes(names).save(options.output)
    print(f"Written to {options.output}: {len(names)} classes, not measured yet.")
    return 0
