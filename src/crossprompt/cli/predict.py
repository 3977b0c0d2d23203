"""``crossprompt predict``: classify images, any number of them."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

from crossprompt.cli.device import (
    add_backbone,
    add_batch_size,
    add_device_arguments,
    add_run,
    open_predictor,
    positive,
)
from crossprompt.cli.terminal import reporting, warn_if_silent
from crossprompt.data.images import list_images
from crossprompt.errors import RequestError
from crossprompt.prediction import Prediction
from crossprompt.replacing import replace_file, writable_folder

EXAMPLE = "crossprompt predict runs/photos-dcp a.jpg more/ --top-k 3 --output answers.csv"

FORMATS = ("table", "csv", "jsonl")
STDIN = "-"


@runtime_checkable
class Writable(Protocol):
    """A file, or what stands in for one."""

    def write(self, text: str, /) -> object:
        """Add text to it."""


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the prediction."""
    add_run(parser)
    parser.add_argument(
        "images",
        nargs="+",
        help="image files, folders (searched for images), or - for a list on standard input, one "
        "path a line",
    )
    parser.add_argument(
        "--top-k", type=positive, default=1, metavar="INT", help="classes to list (default: 1)"
    )
    parser.add_argument(
        "--output", type=Path, help="file to write, .csv or .jsonl (default: standard output)"
    )
    parser.add_argument("--format", choices=FORMATS, help="default: by --output's ending, or table")
    parser.add_argument("--json", action="store_true", help="the same as --format jsonl")
    add_batch_size(parser)
    add_backbone(parser)
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Predict, writing each answer as soon as it is known; 1 if any image could not be read."""
    form = _format(options)
    paths, total = expand(options.images)
    classifier = open_predictor(options.run, options)
    answers = classifier.predict_stream(paths, options.top_k, options.batch_size)
    top_k = min(options.top_k, len(classifier.class_names))
    if options.output is None:
        with _answers_on_stdout() as file:
            failed = write(answers, form, top_k, file)
    else:
        failed = _write_file(answers, form, top_k, options.output, total)
    if failed:
        images = "image" if failed == 1 else "images"
        print(f"crossprompt: {failed} {images} could not be read", file=sys.stderr)
    return 1 if failed else 0


def expand(words: Sequence[str]) -> tuple[Iterator[str], int | None]:
    """Files as they are, folders as the images in them, ``-`` as the lines of standard input.

    Args:
        words: as the user typed them.

    Returns:
        The paths, and how many there are, None where standard input says so only in the end.

    Raises:
        RequestError: a word is no file and no folder, or a folder holds no image.
    """
    if missing := [word for word in words if word != STDIN and not Path(word).exists()]:
        raise RequestError(f"no such file or folder: {', '.join(missing[:5])}")
    listed: list[Iterable[str]] = []
    for word in words:
        if word == STDIN:
            listed.append(_lines_of_stdin())
        elif Path(word).is_dir():
            listed.append([str(path) for path in list_images(word)])
            if not listed[-1]:
                raise RequestError(f"the folder {word} holds no image files")
        else:
            listed.append([word])
    total = None if STDIN in words else sum(isinstance(x, list) and len(x) for x in listed)
    return chain.from_iterable(listed), total


def _lines_of_stdin() -> Iterator[str]:
    warn_if_silent()
    found = False
    for line in sys.stdin:
        if line.strip():
            found = True
            yield line.rstrip("\r\n")
    if not found:
        raise RequestError("standard input is empty; give one path a line, or name the images")


def _write_file(
    answers: Iterable[Prediction], form: str, top_k: int, output: Path, total: int | None
) -> int:
    """Write a file that is there only when it is complete; returns how many could not be read."""
    if output.is_dir():
        raise RequestError(f"--output {output} is a folder; give a file to write")
    writable_folder(output.parent)
    failed = 0

    def write_all(partial: Path) -> None:
        nonlocal failed
        with (
            reporting() as terminal,
            # a file name may be no text in any encoding: its bytes are kept
            partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            count = terminal.count("Classifying")
            counted = _counted(answers, lambda done: count(done, total))
            failed = write(counted, form, top_k, file)

    replace_file(output, write_all)
    return failed


@contextmanager
def _answers_on_stdout() -> Iterator[Writable]:
    if isinstance(sys.stdout, io.TextIOWrapper):  # not where a test or a notebook stands in
        same = sys.stdout.encoding.lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if same else "backslashreplace")
    yield sys.stdout


def _counted(
    answers: Iterable[Prediction], progress: Callable[[int], None]
) -> Iterator[Prediction]:
    for done, answer in enumerate(answers, start=1):
        progress(done)
        yield answer


def write(answers: Iterable[Prediction], form: str, top_k: int, file: Writable) -> int:
    """Write one row per image; returns how many could not be read.

    Args:
        answers: one per image; taken one at a time.
        form: one of ``FORMATS``.
        top_k: how many classes an answer lists.
        file: open for writing.
    """
    rows = {"table": _table, "csv": _csv, "jsonl": _jsonl}[form]
    failed = 0

    def counted() -> Iterator[Prediction]:
        nonlocal failed
        for answer in answers:
            failed += answer.error is not None
            yield answer

    rows(counted(), top_k, file)
    return failed


def _table(answers: Iterator[Prediction], top_k: int, file: Writable) -> None:
    for answer in answers:
        if answer.error is not None:
            print(f"{answer.path}: error: {answer.error}", file=file)
            continue
        classes = "  ".join(f"{name} {100 * share:.1f} %" for name, share in answer.top)
        print(f"{answer.path}: {classes}", file=file)


def _csv(answers: Iterator[Prediction], top_k: int, file: Writable) -> None:
    writer = csv.writer(file, lineterminator="\n")
    ranks = [
        cell for rank in range(2, top_k + 1) for cell in (f"label_{rank}", f"probability_{rank}")
    ]
    writer.writerow(["path", "label", "probability", *ranks, "error"])
    for answer in answers:
        cells = [cell for name, share in answer.top for cell in (name, f"{share:.6f}")]
        writer.writerow([answer.path, *(cells or [""] * (2 * top_k)), answer.error or ""])


def _jsonl(answers: Iterator[Prediction], top_k: int, file: Writable) -> None:
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
        if options.format not in (None, "jsonl"):
            raise RequestError(f"--json and --format {options.format} differ; leave one out")
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
