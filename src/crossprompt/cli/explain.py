"""``crossprompt explain``: where a classifier looked, and what its prompts are near to."""

import argparse
import os
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossprompt.cli.args import positive
from crossprompt.cli.console import print_json, print_table, reporting, warn_if_silent
from crossprompt.cli.load import add_backbone, add_run, open_classifier
from crossprompt.data.image_refs import ImageFile
from crossprompt.errors import RequestError
from crossprompt.inference.bulk.inputs import open_inputs

if TYPE_CHECKING:
    from crossprompt.classifier.classifier import Classifier
    from crossprompt.classifier.explain import PromptWords

EXAMPLE = "crossprompt explain runs/photos-dcp a.jpg --output explained"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the explanation."""
    add_run(parser)
    parser.add_argument(
        "images",
        nargs="*",
        help="image files or folders; without any, only the words near the prompts are listed",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("explained"),
        help="folder for the pictures (default: explained)",
    )
    parser.add_argument(
        "--class",
        dest="label",
        metavar="NAME",
        help="show what speaks for this class (default: for each image, its most probable one)",
    )
    parser.add_argument(
        "--words",
        type=positive,
        default=3,
        metavar="INT",
        help="nearest words to list for each token of a text prompt (default: 3)",
    )
    add_backbone(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Draw the pictures, and print what is in them and the words; 1 if an image is unreadable."""
    from crossprompt.classifier.explain import nearest_words  # which imports torch

    paths = _paths(options.images)
    classifier = open_classifier(options.run, options.backbone, "cpu", "fp32")
    pictures = _draw(classifier, paths, options)
    words = nearest_words(classifier, options.words)
    if options.json:
        print_json({"images": pictures, "words": words})
    else:
        _show(pictures, words, classifier)
    return 1 if any(picture["error"] for picture in pictures) else 0


def _paths(words: Sequence[str]) -> list[Path]:
    paths = []
    for given in open_inputs(words, begin_stdin=warn_if_silent):
        if not isinstance(given, ImageFile):
            raise RequestError(f"{given.name} is no file of its own; give image files or folders")
        paths.append(Path(given.path))
    return paths


def _draw(
    classifier: "Classifier", paths: Sequence[Path], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """A picture for every readable image, and what it shows."""
    drawn, outputs = [], _outputs(paths, options.output)
    with reporting() as terminal:
        show = terminal.count("Explaining")
        for done, (path, output) in enumerate(zip(paths, outputs, strict=True), start=1):
            drawn.append(_draw_one(classifier, path, output, options))
            show(done, len(paths))
    return drawn


def _outputs(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Where each image's picture goes: under the image's name, with a number where it is taken.

    Raises:
        RequestError: one would replace an image.
    """
    outputs: dict[str, Path] = {}
    for path in paths:
        names = (f"{path.stem}{again}.png" for again in chain([""], (f"-{i}" for i in count(2))))
        # where upper and lower case are the same file, one would replace the other
        name = next(name for name in names if name.casefold() not in outputs)
        outputs[name.casefold()] = folder / name
    images = {os.path.realpath(path) for path in paths}
    for output in outputs.values():
        if os.path.realpath(output) in images:
            raise RequestError(
                f"the picture {output} would replace the image of that name; give another --output"
            )
    return list(outputs.values())


def _draw_one(
    classifier: "Classifier", path: Path, output: Path, options: argparse.Namespace
) -> dict[str, Any]:
    from crossprompt.classifier.explain import explain, overlay
    from crossprompt.data.images import UnreadableImageError, read_image
    from crossprompt.utils.files import atomic_write, ensure_writable

    transform = classifier.clip.preprocess
    try:
        image = read_image(path, transform.enough)
    except UnreadableImageError as error:
        return {"path": str(path), "error": error.bad.reason}
    found = explain(classifier, transform(image), options.label)
    seen = transform.crop(image)
    picture = overlay(seen, found.map, f"{found.label} {100 * found.probability:.1f} %")
    ensure_writable(output.parent)  # not before there is something to write
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
        print_table(f"Words near {name}, with distances", ["token", *ranks], rows)
    if any(word.endswith("…") for rows in words.values() for row in rows for word, _ in row):
        print("… stands where a word goes on.")
    if not words:
        print(f"{classifier.method.name} learns no prompt among words.")
