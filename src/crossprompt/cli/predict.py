"""``crossprompt predict``: classify any number of images."""

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from crossprompt.cli.args import LOCAL, add_engine, add_flag, add_option, check_engine, positive
from crossprompt.cli.console import reporting, warn_if_silent
from crossprompt.cli.load import add_backbone, add_run, open_predictor
from crossprompt.errors import RequestError
from crossprompt.inference.base import BATCH, ImageClassifier, Prediction, batched
from crossprompt.inference.bulk.output import ROWS, PartialFile, header
from crossprompt.inference.bulk.parquet import import_parquet
from crossprompt.inference.bulk.run import (
    Engine,
    Inputs,
    open_inputs,
    predict_on_ray,
    predict_to_file,
)

EXAMPLE = "crossprompt predict runs/photos-dcp more/ shards/{000..099}.tar --output answers.csv"
FILE_FORMATS = ("csv", "jsonl", "parquet")
"""Formats of --output, by its extension."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, exported=True)
    parser.add_argument(
        "images",
        nargs="+",
        help="image files; folders (searched for images); .csv and .parquet files with a column of "
        "images; WebDataset's .tar shards, also as {000..099}.tar; or - for a list on standard "
        "input, one path a line",
    )
    add_option(parser, "--top-k", "classes to list", 1, type=positive)
    add_option(
        parser,
        "--column",
        "column of images in .csv and .parquet (default: path, image, filepath or file); "
        "extension of the image in .tar, where there are several",
    )
    add_option(
        parser,
        "--output",
        "file to write, .csv, .jsonl or .parquet; the same command resumes after a crash or Ctrl-C "
        "(default: standard output)",
        type=Path,
    )
    add_flag(parser, "--restart", "discard the rows of an interrupted run")
    formats = ("table", *FILE_FORMATS)
    add_option(parser, "--format", "default: by --output's extension, or table", choices=formats)
    add_flag(parser, "--json", "the same as --format jsonl")
    add_option(parser, "--batch-size", "images per batch", BATCH, type=positive)
    add_backbone(parser)
    add_engine(
        parser.add_argument_group("engine (the rows are the same)"),
        engine="this process, or a Ray cluster's workers",
        workers="Ray workers (default: as many as have room)",
        threads="CPU cores of each worker (default: 1)",
        gpus="GPUs of each worker (default: 0)",
    )


def run(options: argparse.Namespace) -> int:
    """Predict; returns 1 if any image could not be read."""
    form = _choose_format(options)
    _check_output(options, form)
    check_engine(options, "workers", "threads", "gpus", "ray_address")
    inputs = open_inputs(options.images, options.column, warn_if_silent)
    classifier = open_predictor(options)
    top_k = min(options.top_k, len(classifier.class_names))
    engine = _choose_engine(options, classifier, top_k)
    if options.output is None:
        failed = _print_rows(engine(batched(inputs, options.batch_size)), form, top_k)
    else:
        settings = {  # everything that rows depend on, except the images
            "the classifier": classifier.fingerprint,
            "sources": inputs.versions(),
            "--column": options.column,
            "--top-k": top_k,
            "--format": form,
            "--batch-size": options.batch_size,  # the last bits of a probability may depend on it
            "--device": options.device,
            "--dtype": options.dtype,
        }
        file = PartialFile(options.output, form, top_k, settings)
        failed = _write_file(inputs, engine, file, options)
    if failed:
        images = "image" if failed == 1 else "images"
        print(f"crossprompt: {failed} {images} could not be read", file=sys.stderr)
    return 1 if failed else 0


def _choose_engine(options: argparse.Namespace, classifier: ImageClassifier, top_k: int) -> Engine:
    """The requested engine; Ray's workers open the classifier themselves."""
    if options.engine == LOCAL:
        return partial(classifier.predict_batches, top_k=top_k)
    from crossprompt.utils.ray import Cluster  # imports joblib

    resources = options.workers, options.threads or 1, options.gpus or 0.0
    cluster = Cluster(options.ray_address, *resources)
    opening = partial(open_predictor, options)
    return partial(predict_on_ray, open_classifier=opening, top_k=top_k, cluster=cluster)


def _print_rows(batches: Iterable[Sequence[Prediction]], form: str, top_k: int) -> int:
    """Print every batch as soon as it is known; returns the number of unreadable images."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # tests and notebooks replace it
        utf8 = sys.stdout.encoding.lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    sys.stdout.write(header(form, top_k))
    failed = 0
    for batch in batches:
        sys.stdout.writelines(ROWS[form](prediction, top_k) for prediction in batch)
        failed += sum(prediction.error is not None for prediction in batch)
    return failed


def _write_file(
    inputs: Inputs, engine: Engine, file: PartialFile, options: argparse.Namespace
) -> int:
    """Write a file that appears when it is complete; returns the number of unreadable images."""
    total, replaced = inputs.count(), options.output.exists()
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
    rows = "1 row" if file.progress.mark.rows == 1 else f"{file.progress.mark.rows:,} rows"
    instead = ", in place of an earlier file" if replaced else ""
    print(f"{rows} in {options.output}{instead}", file=sys.stderr)
    return failed


def _choose_format(options: argparse.Namespace) -> str:
    if options.json and options.format not in (None, "jsonl"):
        raise RequestError(f"--json and --format {options.format} differ; leave one out")
    if options.json or options.format:
        return "jsonl" if options.json else str(options.format)
    if options.output is None:
        return "table"
    extension: str = options.output.suffix.lower().lstrip(".")
    if extension not in FILE_FORMATS:
        raise RequestError(
            f"--output {options.output} has no known extension; use .csv, .jsonl or .parquet, or "
            "give --format"
        )
    return extension


def _check_output(options: argparse.Namespace, form: str) -> None:
    output = options.output
    if output is None:
        if options.restart:
            raise RequestError("--restart goes with --output; leave it out")
        if form == "parquet":
            raise RequestError("--format parquet is no text to print; give --output a file")
    elif any(os.path.exists(x) and output.exists() and output.samefile(x) for x in options.images):
        raise RequestError(
            f"--output {output} would replace the list it is made from; give another file"
        )
    if form == "parquet":
        import_parquet(output)  # a missing package is reported before the work
