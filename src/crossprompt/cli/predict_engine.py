"""Where images are classified, as options."""

import argparse
from functools import partial

from crossprompt.cli.args import LOCAL, add_engine, check_local, not_negative, positive
from crossprompt.cli.load import open_predictor
from crossprompt.inference.bulk.run import Engine, Local, Predictor

OF_RAY = ("workers", "threads", "gpus", "ray_address")
"""Options that mean nothing to another engine."""


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Which engine, and what of Ray each worker takes."""
    engine = parser.add_argument_group("engine (the rows are the same)")
    add_engine(engine, "this process", "a Ray cluster's workers")
    engine.add_argument(
        "--workers", type=positive, metavar="INT", help="of Ray (default: as many as have room)"
    )
    engine.add_argument(
        "--threads", type=positive, metavar="INT", help="CPU cores of each worker (default: 1)"
    )
    engine.add_argument(
        "--gpus", type=not_negative, metavar="FLOAT", help="GPUs of each worker (default: 0)"
    )


def check_engine(options: argparse.Namespace) -> None:
    """``RequestError`` if an option would be ignored."""
    check_local(options, OF_RAY)


def choose_engine(options: argparse.Namespace, classifier: Predictor, top_k: int) -> Engine:
    """The engine that was asked for; Ray's workers open the classifier themselves."""
    if options.engine == LOCAL:
        return Local(classifier, top_k)
    from crossprompt.inference.bulk.ray import OnRay

    return OnRay(
        partial(open_predictor, options.run, options.backbone, options.device, options.dtype),
        top_k,
        options.batch_size,
        options.ray_address,
        options.workers,
        options.threads or 1,
        options.gpus or 0.0,
    )
