"""``crossprompt fit``: a folder of images in, a classifier out."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crossprompt.classifier.evaluate import Result
from crossprompt.cli.args import add_device_arguments, add_settings, collect
from crossprompt.cli.console import print_json, reporting, show_results
from crossprompt.data.registry import ROOT_VARIABLE
from crossprompt.errors import JobError
from crossprompt.methods import METHODS, find_method
from crossprompt.training.config import FitConfig, TrainConfig
from crossprompt.training.fit import fit
from crossprompt.training.multitask import MultiTaskConfig, fit_tasks
from crossprompt.utils import distributed

EXAMPLE = "crossprompt fit photos --method dcp --shots 16 --output runs/photos-dcp"

ALL = "all"
DEFAULT_METHOD = "dcp"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the job, of the training and of the chosen method."""
    parser.add_argument(
        "data",
        nargs="+",
        help="a folder of class folders, a CSV file, or a data set's name; several for --method "
        "mmap, which learns them together",
    )
    parser.add_argument(
        "--method",
        default=DEFAULT_METHOD,
        help=f"one of {', '.join(METHODS)}; with --help it lists that method's settings (default: "
        f"{DEFAULT_METHOD})",
    )
    parser.add_argument(
        "--backbone",
        default="tiny",
        help="tiny, a hub id such as openai/clip-vit-base-patch16, a folder or a file (default: "
        "tiny)",
    )
    add_device_arguments(parser)
    parser.add_argument(
        "--shots", default=16, type=_shots, help="training images per class, or 'all' (default: 16)"
    )
    parser.add_argument("--seed", default=1, type=int, help="of everything random (default: 1)")
    parser.add_argument("--root", help=f"folder that holds the data set (default: {ROOT_VARIABLE})")
    parser.add_argument(
        "--class-names", metavar="FILE", help="file with other names than the folders'"
    )
    parser.add_argument("--output", type=Path, help="run folder (default: runs/DATA-METHOD)")
    parser.add_argument(
        "--skip-bad-images", action="store_true", help="leave out images that cannot be read"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    existing.add_argument(
        "--overwrite", action="store_true", help="replace what is in the run folder"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    add_settings(parser, TrainConfig, "training", skip=("seed",))
    method = find_method(chosen_method(words))
    title = f"method {method.name} ({method.fidelity})"
    add_settings(parser, method.Config, title, about=method.difference or None)


def chosen_method(words: Sequence[str]) -> str:
    """The method that a command line names, whose settings are then its options."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--method", nargs="?")
    known, _ = finder.parse_known_args([word for word in words if word != "--"])
    return str(known.method or DEFAULT_METHOD)


def run(options: argparse.Namespace) -> int:
    """Fit, and print how good the result is."""
    job = FitConfig(
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
    several = MultiTaskConfig(tuple(replace(job, data=data) for data in options.data))
    together = len(several.jobs) > 1
    output = options.output or (several if together else job).default_output()
    how = {"resume": options.resume, "overwrite": options.overwrite}
    try:
        with reporting() as terminal:
            if together:
                fitted = fit_tasks(several, output, **how, reporter=terminal)
            else:
                _, results = fit(job, output, **how, reporter=terminal)
    except KeyboardInterrupt:
        instead = " in place of --overwrite" if options.overwrite else ""
        raise JobError(
            f"stopped; {output} keeps the finished epochs, if there are any: go on with the same "
            f"command and --resume{instead}"
        ) from None
    if together:
        _show_tasks({name: found for name, (_, found) in fitted.items()}, output, options.json)
    elif distributed.rank() == 0:
        _show(results, output, options.json)
    distributed.leave()
    return 0


def _show(results: dict[str, Result], output: Path, as_json: bool) -> None:
    if as_json:
        values = {name: result.to_json() for name, result in results.items()}
        print_json({"output": str(output), "results": values})
        return
    _show_results(results, output)


def _show_tasks(tasks: dict[str, dict[str, Result]], output: Path, as_json: bool) -> None:
    if as_json:
        values = {
            name: {key: result.to_json() for key, result in results.items()}
            for name, results in tasks.items()
        }
        print_json({"output": str(output), "tasks": values})
        return
    for name, results in tasks.items():
        print(f"{name}:")
        _show_results(results, output / name)


def _show_results(results: dict[str, Result], output: Path) -> None:
    if results:
        show_results(results)
    else:
        print("There were no test images to measure the accuracy on.")
    command = shlex.join(["crossprompt", "predict", str(output), "IMAGE"])
    print(f"Saved in {output}. Classify images with: {command}")


def _shots(word: str) -> int | None:
    if word == ALL:
        return None
    try:
        return int(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{word!r} is neither a number nor {ALL!r}") from error
