"""Where images are classified, as options."""

import argparse
from functools import partial

from crossprompt.bulk.engine import Engine, Local, Predictor
from crossprompt.cli.device import open_predictor, positive
from crossprompt.errors import RequestError

OF_RAY = ("workers", "threads", "gpus", "ray_address")
"""Options that mean nothing to another engine."""


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Which engine, and what of Ray each worker takes."""
    engine = parser.add_argument_group("engine (the rows are the same)")
    engine.add_argument(
        "--engine",
        default="local",
        choices=("local", "ray"),
        help="this process, or a Ray cluster's workers (default: local)",
    )
    engine.add_argument(
        "--workers", type=positive, metavar="INT", help="of Ray (default: as many as have room)"
    )
    engine.add_argument(
        "--threads", type=positive, metavar="INT", help="CPU cores of each worker (default: 1)"
    )
    engine.add_argument(
        "--gpus", type=float, metavar="FLOAT", help="GPUs of each worker (default: 0)"
    )
    engine.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="a running Ray cluster, auto for this machine's (default: one is started)",
    )


def check_engine(options: argparse.Namespace) -> None:
    """``RequestError`` if an option would be ignored."""
    if options.engine == "ray":
        if options.gpus is not None and not options.gpus >= 0:
            raise RequestError(f"--gpus is {options.gpus}, expected 0 or more")
        return
    if ignored := [name for name in OF_RAY if getattr(options, name) is not None]:
        word = ignored[0].replace("_", "-")
        raise RequestError(f"--{word} goes with --engine ray; add that, or leave it out")


def choose_engine(options: argparse.Namespace, classifier: Predictor, top_k: int) -> Engine:
    """The engine that was asked for; Ray's workers open the classifier themselves."""
    if options.engine == "local":
        return Local(classifier, top_k, options.batch_size)
    from crossprompt.bulk.ray_engine import OnRay

    return OnRay(
        partial(open_predictor, options.run, options),
        top_k,
        options.batch_size,
        options.ray_address,
        options.workers,
        options.threads or 1,
        options.gpus or 0.0,
    )
