"""``crossprompt fit``: train on a data set, or on several together."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crossprompt.classifier.evaluate import Result
from crossprompt.cli.args import add_device_arguments, add_flag, add_option, add_settings, collect
from crossprompt.cli.console import print_json, reporting, show_results
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import JobError
from crossprompt.methods import METHODS, find_method
from crossprompt.training.config import FitConfig, TrainConfig
from crossprompt.training.fit import fit
from crossprompt.training.multitask import MultiTaskConfig, fit_tasks
from crossprompt.utils import distributed

EXAMPLE = "crossprompt fit photos --method dcp --shots 16 --output runs/photos-dcp"

DEFAULT_METHOD = "dcp"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="+",
        help="a folder of class folders, a CSV file, or a data set's name; several for --method "
        "mmap, which learns them together",
    )
    methods = f"one of {', '.join(METHODS)}; with --help it lists that method's settings"
    add_option(parser, "--method", methods, DEFAULT_METHOD)
    places = "tiny, a hub id such as openai/clip-vit-base-patch16, a folder or a file"
    add_option(parser, "--backbone", places, "tiny")
    add_device_arguments(parser)
    add_option(parser, "--shots", "training images per class, or 'all'", 16, type=_shots)
    add_option(parser, "--seed", "seed of all random draws", 1, type=int)
    add_option(parser, "--root", f"folder that holds the data set (default: {ROOT_VARIABLE})")
    add_option(parser, "--class-names", "file with other names than the folders'", metavar="FILE")
    add_option(parser, "--output", "run folder (default: runs/DATA-METHOD)", type=Path)
    add_flag(parser, "--skip-bad-images", "leave out images that cannot be read")
    existing = parser.add_mutually_exclusive_group()
    add_flag(existing, "--resume", "continue an interrupted run")
    add_flag(existing, "--overwrite", "replace what is in the run folder")
    add_flag(parser, "--json", "print the results as JSON")
    add_settings(parser, TrainConfig, "training", skip=("seed",))
    method = find_method(chosen_method(parser.get_default("arguments")))
    title = f"method {method.name} ({method.fidelity})"
    add_settings(parser, method.Config, title, about=method.difference or None)


def chosen_method(arguments: Sequence[str]) -> str:
    """The method that a command line names; its settings become options."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--method", nargs="?")
    known, _ = finder.parse_known_args([text for text in arguments if text != "--"])
    return str(known.method or DEFAULT_METHOD)


def run(options: argparse.Namespace) -> int:
    config = FitConfig(
        data=options.data[0],
        method=options.method,
        backbone=options.backbone,
        shots=options.shots,
        seed=options.seed,
        root=options.root,
        options=collect(options, find_method(options.method).Config),
        training=collect(options, TrainConfig, skip=("seed",)),
        class_names=options.class_names,
        skip_bad_images=options.skip_bad_images,
        device=options.device,
        dtype=options.dtype,
    )
    several = None
    if len(options.data) > 1:
        several = MultiTaskConfig(tuple(replace(config, data=data) for data in options.data))
    output = options.output or (several or config).default_output()
    existing = {"resume": options.resume, "overwrite": options.overwrite}
    try:
        with reporting() as terminal:
            if several:
                fitted = fit_tasks(several, output, **existing, reporter=terminal)
            else:
                fitted = {"": fit(config, output, **existing, reporter=terminal)}
    except KeyboardInterrupt:
        instead = " in place of --overwrite" if options.overwrite else ""
        raise JobError(
            f"stopped; {output} keeps the finished epochs, if there are any: continue with the "
            f"same command and --resume{instead}"
        ) from None
    if distributed.rank() == 0:
        if options.json:
            found = {
                name: {split: result.to_json() for split, result in results.items()}
                for name, (_, results) in fitted.items()
            }
            measured = {"tasks": found} if several else {"results": found[""]}
            print_json({"output": str(output), **measured})
        else:
            for name, (_, results) in fitted.items():
                if several:
                    print(f"{name}:")
                _show(results, output / name)
    distributed.leave()
    return 0


def _show(results: dict[str, Result], output: Path) -> None:
    if results:
        show_results(results)
    else:
        print("There were no test images to measure the accuracy on.")
    command = shlex.join(["crossprompt", "predict", str(output), "IMAGE"])
    print(f"Saved in {output}. Classify images with: {command}")


def _shots(text: str) -> int | None:
    try:
        return None if text == "all" else int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'all'") from error
