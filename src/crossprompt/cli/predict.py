"""``crossprompt predict``: classify images, any number of them."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from crossprompt.artifact import load
from crossprompt.classifier import Prediction
from crossprompt.cli.fit import add_device_arguments
from crossprompt.cli.terminal import warn_if_silent
from crossprompt.data.images import list_images
from crossprompt.errors import RequestError

SUMMARY = "Classify images with a saved classifier."
EXAMPLE = "crossprompt predict runs/photos holiday.jpg more-photos/ --top-k 3 --output answers.csv"

FORMATS = ("table", "csv", "jsonl")


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the prediction."""
    parser.add_argument("run", type=Path, help="folder of a saved classifier")
    parser.add_argument(
        "images",
        nargs="+",
        help="image files, folders (searched for images), or - for a list on stdin",
    )
    parser.add_argument("--top-k", type=int, default=1, help="classes to list (default: 1)")
    parser.add_argument(
        "--output", type=Path, help="file to write, .csv or .jsonl (default: stdout)"
    )
    parser.add_argument("--format", choices=FORMATS, help="default: by --output's ending, or table")
    parser.add_argument("--json", action="store_true", help="the same as --format jsonl")
    parser.add_argument("--batch-size", type=int, default=64, help="images at a time (default: 64)")
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Predict, writing each answer as soon as it is known; 1 if any image could not be read."""
    form = _format(options)
    paths = expand(options.images)
    classifier = load(options.run, device=options.device, dtype=options.dtype)
    answers = classifier.predict_stream(paths, options.top_k, options.batch_size)
    top_k = min(options.top_k, len(classifier.class_names))
    if options.output is None:
        failed = write(answers, form, top_k, sys.stdout)
    else:
        partial = options.output.with_name(f".{options.output.name}.partial")
        with partial.open("w", encoding="utf-8", newline="") as file:
            failed = write(answers, form, top_k, file)
        partial.replace(options.output)
    if failed:
        print(f"crossprompt: {failed} images could not be read", file=sys.stderr)
    return 1 if failed else 0


def expand(words: Sequence[str]) -> Iterator[str]:
    """Files as they are, folders as the images in them, ``-`` as the lines of standard input.

    Raises:
        RequestError: a word is no file and no folder, or a folder holds no image.
    """
    missing = [word for word in words if word != "-" and not Path(word).exists()]
    if missing:
        raise RequestError(f"no such file or folder: {', '.join(missing[:5])}")
    empty = [word for word in words if Path(word).is_dir() and not list_images(word)]
    if empty:
        raise RequestError(f"no image was found in {', '.join(empty[:5])}")
    return _expand(words)


def _expand(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == "-":
            warn_if_silent()
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        elif Path(word).is_dir():
            yield from (str(path) for path in list_images(word))
        else:
            yield word


def write(answers: Iterable[Prediction], form: str, top_k: int, file: IO[str]) -> int:
    """Write one row per image; returns how many could not be read."""
    rows = {"table": _table, "csv": _csv, "jsonl": _jsonl}[form]
    failed = 0

    def counted() -> Iterator[Prediction]:
        nonlocal failed
        for answer in answers:
            failed += answer.error is not None
            yield answer

    rows(counted(), top_k, file)
    return failed


def _table(answers: Iterator[Prediction], top_k: int, file: IO[str]) -> None:
    for answer in answers:
        if answer.error is not None:
            print(f"{answer.path}: error: {answer.error}", file=file)
            continue
        classes = "  ".join(f"{name} {100 * share:.1f} %" for name, share in answer.top)
        print(f"{answer.path}: {classes}", file=file)


def _csv(answers: Iterator[Prediction], top_k: int, file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    ranks = [
        cell for rank in range(2, top_k + 1) for cell in (f"label_{rank}", f"probability_{rank}")
    ]
    writer.writerow(["path", "label", "probability", *ranks, "error"])
    for answer in answers:
        cells = [cell for name, share in answer.top for cell in (name, f"{share:.6f}")]
        writer.writerow([answer.path, *(cells or [""] * (2 * top_k)), answer.error or ""])


def _jsonl(answers: Iterator[Prediction], top_k: int, file: IO[str]) -> None:
    for answer in answers:
        line = {
            "path": answer.path,
            "label": answer.label,
            "probability": answer.probability,
            "top": answer.top,
            "error": answer.error,
        }
        print(json.dumps(line, ensure_ascii=False), file=file)


def _format(options: argparse.Namespace) -> str:
    if options.json:
        return "jsonl"
    if options.format:
        return str(options.format)
    if options.output is None:
        return "table"
    ending = options.output.suffix.lower().lstrip(".")
    if ending not in FORMATS[1:]:
        raise RequestError(
            f"--output {options.output} has no known ending; use .csv or .jsonl, or say --format"
        )
    return str(ending)
