"""``crossprompt methods``: what there is, where it comes from, and how much it learns."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from crossprompt.cli.args import positive
from crossprompt.cli.console import print_json, print_table
from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS, Method, build_method
from crossprompt.utils.config import require

EXAMPLE = "crossprompt methods --backbone tiny --classes 100"


@dataclass(frozen=True)
class Line:
    """What is listed of a method."""

    name: str
    """What the user types."""
    learned: int | None
    """Numbers that it learns; None if it cannot be used with the backbone."""
    problem: str | None
    """Why it cannot."""
    fidelity: str
    """See ``Method.fidelity``."""
    difference: str
    """What was mended, or what is our own; empty where it is faithful."""
    paper: str
    """Where it was published."""
    summary: str
    """What it does."""


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the list."""
    parser.add_argument(
        "--backbone",
        default="tiny",
        help="what to count for: tiny, a hub id, a folder or a file (default: tiny)",
    )
    parser.add_argument(
        "--classes", type=positive, default=10, help="how many (default: 10)", metavar="INT"
    )
    parser.add_argument(
        "--shots",
        type=positive,
        default=16,
        help="training images per class, which matters where a number is learned for every image "
        "(default: 16)",
        metavar="INT",
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    require(options.classes >= 2, f"--classes is {options.classes}, expected 2 or more")
    clip = load_clip(options.backbone, device="cpu")
    lines = [describe(method, clip, options.classes, options.shots) for method in METHODS.values()]
    if options.json:
        print_json([asdict(line) for line in lines])
        return 0
    print_table(
        f"Learned with {options.classes} classes and {options.shots} shots on {options.backbone}",
        ["method", "learned", "fidelity", "paper"],
        [[x.name, _count(x.learned), x.fidelity, x.paper] for x in lines],
    )
    for line in lines:
        print(f"{line.name}: {line.problem or line.summary}")
        if line.difference:
            print(f"  {line.fidelity}: {line.difference}")
    return 0


def describe(method: type[Method], clip: CLIP, classes: int, shots: int) -> Line:
    """A method on a backbone.

    Args:
        method: which.
        clip: whose sizes count.
        classes: how many.
        shots: training images of each.
    """
    names = [f"class {number}" for number in range(classes)]
    learned, problem = None, None
    try:
        learned = build_method(method.name, clip, names).count_parameters(shots)
    except RequestError as error:  # for example it needs as many blocks in both towers
        problem = str(error)
    return Line(
        name=method.name,
        learned=learned,
        problem=problem,
        fidelity=method.fidelity,
        difference=method.difference,
        paper=method.paper,
        summary=method.summary,
    )


def _count(learned: int | None) -> str:
    return "not on this backbone" if learned is None else f"{learned:,}"
