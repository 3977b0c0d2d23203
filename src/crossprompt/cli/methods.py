"""``crossprompt methods``: every method with its trainable parameters and its source."""

import argparse
from typing import Any

from crossprompt.cli.args import add_flag, add_option, positive
from crossprompt.cli.console import print_json, print_table
from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS, Method, build_method
from crossprompt.utils.config import require

EXAMPLE = "crossprompt methods --backbone tiny --classes 100"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    backbone = "backbone whose widths count: tiny, a hub id, a folder or a file"
    add_option(parser, "--backbone", backbone, "tiny")
    add_option(parser, "--classes", "number of classes", 10, type=positive)
    shots = "training images per class, for methods with a parameter per image"
    add_option(parser, "--shots", shots, 16, type=positive)
    add_flag(parser, "--json", "print the list as JSON")


def run(options: argparse.Namespace) -> int:
    require(options.classes >= 2, f"--classes is {options.classes}, expected 2 or more")
    clip = load_clip(options.backbone, device="cpu")
    rows = [method_row(method, clip, options.classes, options.shots) for method in METHODS.values()]
    if options.json:
        print_json(rows)
        return 0
    table = []
    for row in rows:
        count = "not on this backbone" if row["learned"] is None else f"{row['learned']:,}"
        table.append([row["name"], count, row["fidelity"], row["paper"]])
    sizes = f"{options.classes} classes and {options.shots} shots on {options.backbone}"
    columns = ["method", "parameters", "fidelity", "paper"]
    print_table(f"Trainable parameters with {sizes}", columns, table)
    for row in rows:
        print(f"{row['name']}: {row['problem'] or row['summary']}")
        if row["difference"]:
            print(f"  {row['fidelity']}: {row['difference']}")
    return 0


def method_row(method: type[Method], clip: CLIP, classes: int, shots: int) -> dict[str, Any]:
    """A method on a backbone: ``learned`` counts its parameters, or ``problem`` says why the
    backbone does not suit it; the rest is from the method."""
    learned, problem = None, None
    try:
        names = [f"class {number}" for number in range(classes)]
        learned = build_method(method.name, clip, names).count_parameters(shots)
    except RequestError as error:  # the backbone does not suit the method
        problem = str(error)
    own = {key: getattr(method, key) for key in ("fidelity", "difference", "paper", "summary")}
    return {"name": method.name, "learned": learned, "problem": problem, **own}
