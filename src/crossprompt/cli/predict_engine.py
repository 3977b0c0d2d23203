"""Engine of ``crossprompt predict``, as options."""

import argparse
from functools import partial

from crossprompt.cli.args import LOCAL, add_engine, refuse_ray_options
from crossprompt.cli.load import open_predictor
from crossprompt.inference.bulk.run import Engine, Local, Predictor


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """The engine, and the resources of Ray's workers."""
    add_engine(
        parser.add_argument_group("engine (the rows are the same)"),
        engine="this process, or a Ray cluster's workers",
        workers="of Ray (default: as many as have room)",
        threads="CPU cores of each worker (default: 1)",
        gpus="GPUs of each worker (default: 0)",
    )


def check_engine(options: argparse.Namespace) -> None:
    """``RequestError`` if an option would be ignored."""
    refuse_ray_options(options, ("workers", "threads", "gpus", "ray_address"))


def choose_engine(options: argparse.Namespace, classifier: Predictor, top_k: int) -> Engine:
    """The requested engine; Ray's workers open the classifier themselves."""
    if options.engine == LOCAL:
        return Local(classifier, top_k)
    # here, as both import joblib, which a prediction without Ray can spare
    from crossprompt.inference.bulk.ray import OnRay
    from crossprompt.utils.ray import Cluster

    return OnRay(
        partial(open_predictor, options.run, options.backbone, options.device, options.dtype),
        top_k,
        options.batch_size,
        Cluster(options.ray_address, options.workers, options.threads or 1, options.gpus or 0.0),
    )
