"""``crossprompt predict``: classify images, any number of them."""

import argparse
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from crossprompt.cli.args import add_batch_size, add_device_arguments, positive
from crossprompt.cli.console import reporting, warn_if_silent
from crossprompt.cli.load import add_backbone, add_run_or_export, open_predictor
from crossprompt.cli.predict_engine import add_engine_arguments, check_engine, choose_engine
from crossprompt.errors import RequestError
from crossprompt.inference.base import Prediction
from crossprompt.inference.bulk.inputs import Inputs, open_inputs
from crossprompt.inference.bulk.output import FORMS, PartialFile
from crossprompt.inference.bulk.run import Engine, Predictor, grouped, predict_to_file
from crossprompt.inference.bulk.sources import import_parquet

EXAMPLE = "crossprompt predict runs/photos-dcp more/ shards/{000..099}.tar --output answers.csv"

OF_FILES = ("csv", "jsonl", "parquet")
"""Forms of --output, by its ending."""


@runtime_checkable
class Writable(Protocol):
    """A file, or what stands in for one."""

    def write(self, text: str, /) -> object:
        """Add text to it."""


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the prediction."""
    add_run_or_export(parser)
    parser.add_argument(
        "images",
        nargs="+",
        help="image files; folders (searched for images); .csv and .parquet files with a column of "
        "images; WebDataset's .tar shards, also as {000..099}.tar; or - for a list on standard "
        "input, one path a line",
    )
    parser.add_argument(
        "--top-k", type=positive, default=1, metavar="INT", help="classes to list (default: 1)"
    )
    parser.add_argument(
        "--column",
        help="with the images in .csv and .parquet (default: path, image, filepath or file); "
        "ending of the image in .tar, where there are several",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="file to write, .csv, .jsonl or .parquet; the same command goes on after a crash or "
        "Ctrl-C (default: standard output)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="forget what an earlier run wrote of --output"
    )
    parser.add_argument(
        "--format",
        choices=("table", *OF_FILES),
        help="default: by --output's ending, or table",
    )
    parser.add_argument("--json", action="store_true", help="the same as --format jsonl")
    add_batch_size(parser)
    add_backbone(parser)
    add_device_arguments(parser)
    add_engine_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Predict, writing each answer as soon as it is known; 1 if any image could not be read."""
    form = _format(options)
    check_engine(options)
    inputs = open_inputs(options.images, options.column, warn_if_silent)
    classifier = open_predictor(options.run, options.backbone, options.device, options.dtype)
    top_k = min(options.top_k, len(classifier.class_names))
    engine = choose_engine(options, classifier, top_k)
    if options.output is None:
        groups = grouped(inputs, options.batch_size)
        answers = (answer for group in engine.answers(groups) for answer in group)
        with _answers_on_stdout() as file:
            failed = write(answers, form, top_k, file)
    else:
        settings = _settings(options, form, top_k, classifier, inputs)
        partial = PartialFile(options.output, form, top_k, settings)
        failed = _write_file(inputs, engine, partial, options)
    if failed:
        images = "image" if failed == 1 else "images"
        print(f"crossprompt: {failed} {images} could not be read", file=sys.stderr)
    return 1 if failed else 0


def _settings(
    options: argparse.Namespace, form: str, top_k: int, classifier: Predictor, inputs: Inputs
) -> dict[str, Any]:
    """What rows depend on, but for the images themselves."""
    return {
        "the classifier": classifier.fingerprint,
        "sources": inputs.versions(),
        "--column": options.column,
        "--top-k": top_k,
        "--format": form,
        "--batch-size": options.batch_size,  # the last bits of a probability may depend on it
        "--device": options.device,
        "--dtype": options.dtype,
    }


def _write_file(
    inputs: Inputs, engine: Engine, file: PartialFile, options: argparse.Namespace
) -> int:
    """Write a file that is there only when it is complete; returns how many could not be read."""
    total, before = inputs.count(), options.output.exists()
    with reporting() as terminal:
        count = terminal.count("Classifying")
        failed = predict_to_file(
            inputs,
            engine,
            file,
            options.batch_size,
            restart=options.restart,
            progress=lambda done: count(done, total),
            say=terminal.say,
        )
    rows = "1 row" if file.mark.rows == 1 else f"{file.mark.rows:,} rows"
    instead = ", in place of an earlier file" if before else ""
    print(f"{rows} in {options.output}{instead}", file=sys.stderr)
    return failed


@contextmanager
def _answers_on_stdout() -> Iterator[Writable]:
    if isinstance(sys.stdout, io.TextIOWrapper):  # not where a test or a notebook stands in
        same = sys.stdout.encoding.lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if same else "backslashreplace")
    yield sys.stdout


def write(answers: Iterable[Prediction], form: str, top_k: int, file: Writable) -> int:
    """Write one row per image; returns how many could not be read.

    Args:
        answers: one per image; taken one at a time.
        form: one of ``FORMS``.
        top_k: how many classes an answer lists.
        file: open for writing.
    """
    rows = FORMS[form](top_k)
    if rows.header:
        file.write(rows.header)
    failed = 0
    for answer in answers:
        failed += answer.error is not None
        file.write(rows.row(answer))
    return failed


def _format(options: argparse.Namespace) -> str:
    form = _asked_format(options)
    if options.output is None:
        if options.restart:
            raise RequestError("--restart goes with --output; leave it out")
        if form == "parquet":
            raise RequestError("--format parquet is no text to print; give --output a file")
    elif any(_same_file(options.output, word) for word in options.images):
        raise RequestError(
            f"--output {options.output} would replace the list it is made from; give another file"
        )
    if form == "parquet":
        import_parquet(options.output)  # now, and not when all is done
    return form


def _same_file(output: Path, word: str) -> bool:
    return os.path.exists(word) and output.exists() and output.samefile(word)


def _asked_format(options: argparse.Namespace) -> str:
    if options.json:
        if options.format not in (None, "jsonl"):
            raise RequestError(f"--json and --format {options.format} differ; leave one out")
        return "jsonl"
    if options.format:
        return str(options.format)
    if options.output is None:
        return "table"
    ending = options.output.suffix.lower().lstrip(".")
    if ending not in OF_FILES:
        raise RequestError(
            f"--output {options.output} has no known ending; use .csv, .jsonl or .parquet, or say "
            "--format"
        )
    return str(ending)
