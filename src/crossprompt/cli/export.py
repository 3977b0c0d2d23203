"""``crossprompt export``: a saved classifier as one file that runs elsewhere."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crossprompt.cli.console import print_json, print_table, reporting
from crossprompt.cli.load import add_backbone, add_run, open_classifier
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import RequestError

if TYPE_CHECKING:
    from crossprompt.classifier.classifier import Classifier
    from crossprompt.classifier.export import Exported, Form
    from crossprompt.data.dataset import Item

EXAMPLE = "crossprompt export runs/photos-dcp photos.onnx --check photos"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the export."""
    add_run(parser)
    parser.add_argument("output", type=Path, help="file to write, .onnx or .pt2")
    parser.add_argument(
        "--format",
        choices=("onnx", "torch"),
        help="an ONNX model, or a program that torch.export.load opens (default: by the ending)",
    )
    parser.add_argument(
        "--weights",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="how an ONNX model stores its weights; it computes in fp32 (default: fp32)",
    )
    parser.add_argument(
        "--check",
        metavar="DATA",
        help="compare on the test images of this data, too: a folder of class folders, a CSV file, "
        "or a data set's name",
    )
    parser.add_argument(
        "--root", help=f"folder that holds the data set of --check (default: {ROOT_VARIABLE})"
    )
    add_backbone(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Export, compare, measure, and print a table or JSON."""
    from crossprompt.classifier.export import export_classifier  # which imports torch

    form = _form(options)
    if options.root is not None and options.check is None:
        raise RequestError("--root is for --check, which is not given; add it or leave both out")
    with reporting() as terminal:
        classifier = open_classifier(options.run, options.backbone, "cpu", "fp32")
        pictures = _pictures(options, classifier)
        found = export_classifier(
            classifier,
            options.output,
            form=form,
            weights=options.weights,
            pictures=pictures,
            step=terminal.say,
        )
        speeds = _speeds(classifier, found)
    if options.json:
        about = {**asdict(found), "path": str(found.path)}
        print_json({**about, "images_per_second": speeds})
    else:
        _show(found, speeds)
    return 0


def _form(options: argparse.Namespace) -> "Form":
    """What to write, by the option or the file's ending."""
    from crossprompt.classifier.export import ENDINGS

    ending = options.output.suffix.lower()
    named = next((form for form, known in ENDINGS.items() if known == ending), None)
    if named is None:
        expected = " or ".join(f"{known} for {form}" for form, known in ENDINGS.items())
        raise RequestError(f"{options.output} has no known ending; expected {expected}")
    if options.format not in (None, named):
        raise RequestError(
            f"--format {options.format} and {options.output} differ; name the file "
            f"{options.output.with_suffix(ENDINGS[options.format])}"
        )
    return named


def _pictures(options: argparse.Namespace, classifier: "Classifier") -> "list[Item]":
    """The test images of the data, none where there is no data."""
    from crossprompt.data.held_out import choose_held_out

    if options.check is None:
        return []
    held_out = choose_held_out(options.check, classifier.information, root=options.root)
    return [item for split in held_out.data.splits.values() for item in split]


def _speeds(classifier: "Classifier", found: "Exported") -> dict[str, float]:
    """Images per second of the classifier and of its export, with as many threads."""
    import torch

    from crossprompt.classifier.export import measure_speed, open_exported

    side = classifier.clip.preprocess.side
    exported = open_exported(found.path, found.form, torch.get_num_threads())
    return {
        "classifier": measure_speed(lambda images: classifier.logits(images).softmax(-1), side),
        "exported": measure_speed(exported, side),
    }


def _show(found: "Exported", speeds: dict[str, float]) -> None:
    named = {"classifier": "with its backbone, in torch", "exported": f"exported, {found.weights}"}
    sizes = {"classifier": found.weights_size, "exported": found.size}
    rows = [[named[key], _size(sizes[key]), f"{speeds[key]:.1f}"] for key in named]
    print_table(f"{found.path}, on this CPU", ["classifier", "size", "images/s"], rows)
    for what, agreement in (("random images", found.noise), ("pictures", found.pictures)):
        if agreement is not None:
            print(
                f"On {agreement.images} {what}, probabilities differ by "
                f"{agreement.difference:.1e} at most, and {100 * agreement.same:.1f} % are put "
                "into the same class."
            )
    if found.pictures is None:
        print("Compare them on test images of your own, too, with --check DATA.")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
