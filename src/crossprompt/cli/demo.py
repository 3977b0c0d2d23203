"""``crossprompt demo``: train and compare methods on the embedded model and data."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from crossprompt.bench.results import deviation
from crossprompt.cli.args import add_flag, add_option
from crossprompt.cli.console import print_table, reporting
from crossprompt.utils.optional import require_extra

if TYPE_CHECKING:
    from crossprompt.bench.demo import DemoResult

EXAMPLE = "crossprompt demo --output runs/demo"
SHOWN = 16
"""Test pictures of each style on the sheet of predictions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_option(parser, "--output", "results folder", Path("runs/demo"), type=Path)
    numbers = partial(add_option, parser, type=int, nargs="+")
    numbers("--shots", "pictures per class (default: 1 8)")
    numbers("--seeds", "one run each (default: 1 2 3)")
    add_option(parser, "--dtype", "auto, fp32 or bf16", "auto")
    add_flag(parser, "--json", "print the results as JSON")


def run(options: argparse.Namespace) -> int:
    require_extra("demo", ["matplotlib"], "the demo")
    from crossprompt.bench import demo

    with reporting() as terminal:
        result = demo.run_demo(
            options.output,
            shots=options.shots or demo.SHOTS,
            seeds=options.seeds or demo.SEEDS,
            dtype=options.dtype,
            reporter=terminal,
        )
    demo.plot_accuracy(result, options.output / "accuracy.png")
    sheet = [item for split in result.pictures.values() for item in demo.spread(split, SHOWN)]
    demo.plot_predictions(result, sheet, options.output / "predictions.png")
    if options.json:
        print((options.output / "results.json").read_text("utf-8"), end="")
    else:
        _show(result, options.output)
    return 0


def _show(result: "DemoResult", output: Path) -> None:
    from crossprompt.bench.demo import SAVED

    found, styles = result.accuracy, list(result.pictures)
    rows = [
        [method, shots, *(_summary(found[method, shots, style]) for style in styles)]
        for method, shots in dict.fromkeys((method, shots) for method, shots, _ in found)
    ]
    seeds, most = len(next(iter(found.values()))), max(shots for _, shots, _ in found)
    title = f"Accuracy in % on unseen emoji of {result.classes} kinds, {seeds} seeds"
    print_table(title, ["method", "shots", *styles], rows)
    for style in styles:
        gain = 100 * (mean(found["dcp", most, style]) - mean(found["zero_shot", most, style]))
        print(
            f"With {most} pictures per kind, DCP is {gain:+.1f} points from zero-shot on {style}."
        )
    picture = next(iter(result.pictures.values()))[0].path
    print(f"\n{result.seconds:.0f} seconds. Written to {output}: results.json, accuracy.png,")
    print("predictions.png and the DCP classifier. Classify a picture of your own with:\n")
    print(f"  crossprompt predict {output / SAVED} {picture} --top-k 3")


def _summary(accuracy: Sequence[float]) -> str:
    """Mean and standard deviation in per cent."""
    return f"{100 * mean(accuracy):.1f} ± {100 * deviation(accuracy):.1f}"
