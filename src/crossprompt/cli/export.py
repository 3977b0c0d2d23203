"""``crossprompt export``: write a saved classifier as one file that runs elsewhere."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crossprompt.cli.args import add_flag, add_option
from crossprompt.cli.console import print_json, print_table, reporting
from crossprompt.cli.load import add_backbone, add_run, open_classifier
from crossprompt.data.held_out import choose_held_out
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError

if TYPE_CHECKING:  # these import torch
    from crossprompt.classifier.classifier import Classifier
    from crossprompt.classifier.export import Exported, Form

EXAMPLE = "crossprompt export runs/photos-dcp photos.onnx --check photos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("output", type=Path, help="file to write, .onnx or .pt2")
    add_option(
        parser,
        "--format",
        "an ONNX model, or a program that torch.export.load opens (default: by the ending)",
        choices=("onnx", "torch"),
    )
    weights = "how an ONNX model stores its weights; it computes in fp32"
    add_option(parser, "--weights", weights, "fp32", choices=("fp32", "fp16", "int8"))
    add_option(
        parser,
        "--check",
        "compare on the test images of this data, too: a folder of class folders, a CSV file, or a "
        "data set's name",
        metavar="DATA",
    )
    root = f"folder that holds the data set of --check (default: {ROOT_VARIABLE})"
    add_option(parser, "--root", root)
    add_flag(parser, "--json", "print everything as JSON")
    add_backbone(parser, device=False)


def run(options: argparse.Namespace) -> int:
    from crossprompt.classifier.export import export_classifier

    form = _form(options)
    if options.root is not None and options.check is None:
        raise RequestError("--root is for --check, which is not given; add it or leave both out")
    with reporting() as terminal:
        classifier = open_classifier(options)
        pictures = []
        if options.check is not None:
            held_out = choose_held_out(options.check, classifier.information, root=options.root)
            pictures = [item for split in held_out.data.splits.values() for item in split]
        exported = export_classifier(
            classifier,
            options.output,
            form=form,
            weights=options.weights,
            pictures=pictures,
            step=terminal.say,
        )
        speeds = _speeds(classifier, exported)
    if options.json:
        about = {**asdict(exported), "path": str(exported.path)}
        print_json({**about, "images_per_second": speeds})
    else:
        _show(exported, speeds)
    return 0


def _form(options: argparse.Namespace) -> "Form":
    """The form that the file's ending names; ``--format`` may only confirm it."""
    from crossprompt.classifier.export import ENDINGS

    forms = {ending: form for form, ending in ENDINGS.items()}
    form = forms.get(options.output.suffix.lower())
    if form is None:
        known = " or ".join(f"{ending} for {form}" for ending, form in forms.items())
        raise RequestError(f"{options.output} has no known ending; expected {known}")
    if options.format not in (None, form):
        raise RequestError(
            f"--format {options.format} and {options.output} differ; name the file "
            f"{options.output.with_suffix(ENDINGS[options.format])}"
        )
    return form


def _speeds(classifier: "Classifier", exported: "Exported") -> dict[str, float]:
    """Images per second of the classifier and of its export, with as many threads."""
    import torch

    from crossprompt.classifier.export import measure_speed, open_exported

    side = classifier.clip.preprocess.side
    score = open_exported(exported.path, exported.form, torch.get_num_threads())
    return {
        "classifier": measure_speed(lambda images: classifier.logits(images).softmax(-1), side),
        "exported": measure_speed(score, side),
    }


def _show(exported: "Exported", speeds: dict[str, float]) -> None:
    rows = [
        (name, f"{size / 1e6:.1f} MB", f"{speed:.1f}")
        for name, size, speed in (
            ("with its backbone, in torch", exported.weights_size, speeds["classifier"]),
            (f"exported, {exported.weights}", exported.size, speeds["exported"]),
        )
    ]
    print_table(f"{exported.path}, on this CPU", ["classifier", "size", "images/s"], rows)
    for images, agreement in (("random images", exported.noise), ("pictures", exported.pictures)):
        if agreement is not None:
            print(
                f"On {agreement.images} {images}, probabilities differ by "
                f"{agreement.difference:.1e} at most, and {100 * agreement.same:.1f} % are put "
                "into the same class."
            )
    if exported.pictures is None:
        print("Compare them on test images of your own, too, with --check DATA.")
