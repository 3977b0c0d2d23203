"""``crossprompt evaluate``: measure a saved classifier on labelled images."""

import argparse
from dataclasses import replace

from crossprompt.classifier.evaluate import evaluate
from crossprompt.cli.args import add_flag, add_option, positive
from crossprompt.cli.console import print_json, reporting, show_classes, show_results
from crossprompt.cli.load import add_backbone, add_run, open_classifier
from crossprompt.data.held_out import choose_held_out, relabel
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError
from crossprompt.inference.base import BATCH
from crossprompt.utils.progress import NOTE

EXAMPLE = "crossprompt evaluate runs/photos-dcp photos --per-class"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("data", help="a folder of class folders, a CSV file, or a data set's name")
    add_option(parser, "--root", f"folder of the data set (default: {ROOT_VARIABLE})")
    names = "file of class names that replace the folders' names"
    add_option(parser, "--class-names", names, metavar="FILE")
    add_flag(
        parser,
        "--all-images",
        "measure all images; by default the test images of a data set, the images of a folder that "
        "were not trained on, or all images of another folder",
    )
    add_option(parser, "--batch-size", "images per batch", BATCH, type=positive)
    add_flag(parser, "--skip-bad-images", "leave out images that cannot be read")
    add_flag(parser, "--per-class", "print the accuracy of every class")
    add_flag(parser, "--json", "print everything as JSON")
    add_backbone(parser)


def run(options: argparse.Namespace) -> int:
    names = {} if options.class_names is None else {"class_names": options.class_names}
    with reporting() as terminal:
        classifier = open_classifier(options)
        held_out = choose_held_out(
            options.data,
            classifier.information,
            all_images=options.all_images,
            root=options.root,
            **names,
        )
        known, data = classifier.class_names, held_out.data
        for split in data.splits.values():  # reports unknown classes before reading images
            relabel(split, data.class_names, known)
        data = data.checked(options.skip_bad_images, terminal.count("Checking images"))
        for note in data.notes:
            terminal.say(f"{NOTE}{note}")
        if not any(data.splits.values()):
            raise RequestError(f"none of the images of {data.name} can be read")
        results = {
            name: evaluate(
                classifier,
                relabel(split, data.class_names, known),
                batch_size=options.batch_size,
                progress=terminal.count(f"Evaluating on {name}"),
            )
            for name, split in data.splits.items()
            if split
        }
    sentence = replace(held_out, data=data).sentence
    if options.json:
        values = {name: result.to_json() for name, result in results.items()}
        print_json({"images": sentence, "results": values})
        return 0
    print(sentence)
    show_results(results)
    if options.per_class:
        show_classes(results)
    return 0
