"""``crossprompt explain``: where a classifier looked, and the words nearest to its prompts."""

import argparse
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossprompt.cli.args import add_flag, add_option, positive
from crossprompt.cli.console import print_json, print_table, reporting, warn_if_silent
from crossprompt.cli.load import add_backbone, add_run, open_classifier
from crossprompt.data.images import UnreadableImageError, read_image
from crossprompt.errors import RequestError
from crossprompt.inference.base import ImageFile
from crossprompt.inference.bulk.run import open_inputs
from crossprompt.utils.files import atomic_write, ensure_writable

if TYPE_CHECKING:
    from crossprompt.classifier.classifier import Classifier
    from crossprompt.classifier.explain import PromptWords

EXAMPLE = "crossprompt explain runs/photos-dcp a.jpg --output explained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "images",
        nargs="*",
        help="image files or folders; without any, only the words nearest to the prompts are shown",
    )
    add_option(parser, "--output", "folder for the pictures", Path("explained"), type=Path)
    label = "class to explain (default: the most probable one of each image)"
    add_option(parser, "--class", label, dest="label", metavar="NAME")
    add_option(parser, "--words", "nearest words per token of a text prompt", 3, type=positive)
    add_flag(parser, "--json", "print everything as JSON")
    add_backbone(parser, device=False)


def run(options: argparse.Namespace) -> int:
    from crossprompt.classifier.explain import nearest_words  # imports torch

    paths = list[Path]()
    for image in open_inputs(options.images, begin_stdin=warn_if_silent):
        if not isinstance(image, ImageFile):
            raise RequestError(f"{image.name} is no file of its own; give image files or folders")
        paths.append(Path(image.path))
    classifier = open_classifier(options)
    pictures, outputs = [], _outputs(paths, options.output)
    with reporting() as terminal:
        show = terminal.count("Explaining")
        for path, output in zip(paths, outputs, strict=True):
            pictures.append(_explain_image(classifier, path, output, options.label))
            show(len(pictures), len(paths))
    words = nearest_words(classifier, options.words)
    if options.json:
        print_json({"images": pictures, "words": words})
    else:
        _show(pictures, words, classifier)
    return 1 if any(picture["error"] for picture in pictures) else 0


def _outputs(paths: Sequence[Path], folder: Path) -> list[Path]:
    """One picture per image, with a number after a name that is taken; ``RequestError`` if a
    picture would replace an image."""
    outputs: dict[str, Path] = {}
    for path in paths:
        names = (f"{path.stem}{f'-{i}' if i > 1 else ''}.png" for i in count(1))
        # case-insensitive, as many file systems are
        name = next(name for name in names if name.casefold() not in outputs)
        outputs[name.casefold()] = folder / name
    images = {os.path.realpath(path) for path in paths}
    for output in outputs.values():
        if os.path.realpath(output) in images:
            raise RequestError(f"{output} would replace an image; give another --output")
    return list(outputs.values())


def _explain_image(
    classifier: "Classifier", path: Path, output: Path, label: str | None
) -> dict[str, Any]:
    from crossprompt.classifier.explain import explain, overlay

    transform = classifier.clip.preprocess
    try:
        image = read_image(path, transform.enough)
    except UnreadableImageError as error:
        return {"path": str(path), "error": error.bad.reason}
    found = explain(classifier, transform(image), label)
    caption = f"{found.label} {100 * found.probability:.1f} %"
    picture = overlay(transform.crop(image), found.map, caption)
    ensure_writable(output.parent)  # only now, so that an error leaves no empty folder
    atomic_write(output, lambda partial: picture.save(partial, format="PNG"))
    about = {"label": found.label, "probability": found.probability, "map": found.map.tolist()}
    return {"path": str(path), "picture": str(output), **about, "error": None}


def _show(
    pictures: Sequence[dict[str, Any]], words: "dict[str, PromptWords]", classifier: "Classifier"
) -> None:
    for picture in pictures:
        if picture["error"] is not None:
            print(f"{picture['path']}: error: {picture['error']}")
            continue
        share = f"{picture['label']} {100 * picture['probability']:.1f} %"
        print(f"{picture['path']}: {share}, drawn in {picture['picture']}")
    for name, tokens in words.items():
        rows = [
            [position, *(f"{word} {distance:.2f}" for word, distance in row)]
            for position, row in enumerate(tokens, start=1)
        ]
        ranks = ["nearest", *(f"{rank}." for rank in range(2, len(rows[0])))]
        print_table(f"Words nearest to {name}", ["token", *ranks], rows)
    if any(word.endswith("…") for rows in words.values() for row in rows for word, _ in row):
        print("… marks the beginning of a longer word.")
    if not words:
        print(f"{classifier.method.name} has no trainable prompt among words.")
