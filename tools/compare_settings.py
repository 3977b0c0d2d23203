"""Compares training settings on ``emoji``, without its test pictures.

    python -m tools.compare_settings zero_shot linear_probe dcp:epochs=8,lr=0.01,length=4

The 10 training and validation emoji of every kind are divided into folds. Each fold trains on 8 of
a kind and tests on 2, in every style. ``crossprompt.bench.demo.BUDGET`` and the learning rates of
docs/comparison.md were chosen by this.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import joblib

from crossprompt.classifier.classifier import freeze
from crossprompt.classifier.evaluate import evaluate
from crossprompt.clip.load import load_clip
from crossprompt.data.benchmarks.emoji import SOURCE, STYLES, drawn_picture, read_split
from crossprompt.data.dataset import Item, Split
from crossprompt.methods import build_method
from crossprompt.training.config import TrainConfig
from crossprompt.training.train import train

FOLDS, TESTED = 5, 2


def fold_of(fold: int) -> tuple[Split, dict[str, Split]]:
    """Training pictures of a fold, and style to its test pictures."""
    first, classes = fold * TESTED, read_split()
    kinds = [[*kind["train"], *kind["val"]] for kind in classes.values()]

    def pictures(style: str, tested: bool) -> Split:
        return Split(
            tuple(
                Item(drawn_picture(style, code), label)
                for label, codes in enumerate(kinds)
                for place, code in enumerate(codes)
                if (first <= place < first + TESTED) == tested
            )
        )

    return pictures(SOURCE, False), {style: pictures(style, True) for style in STYLES}


def measure(spec: str, backbone: str, fold: int) -> dict[str, float]:
    """Train the method of a spec on one fold; returns style to accuracy in percent."""
    name, _, settings = spec.partition(":")
    options: dict[str, Any] = {}
    for pair in filter(None, settings.split(",")):
        key, _, value = pair.partition("=")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    training_keys = {field.name for field in fields(TrainConfig)}
    training = {key: options.pop(key) for key in list(options) if key in training_keys}
    train_split, tests = fold_of(fold)
    clip = load_clip(backbone, device="cpu")
    method = build_method(name, clip, tuple(read_split()), seed=fold, **options)
    train(method, clip, train_split, TrainConfig.of({"seed": fold, **training}, "demo"))
    classifier = freeze(method, clip, train_split, seed=fold)
    return {style: 100 * evaluate(classifier, split).accuracy for style, split in tests.items()}


def main() -> None:
    """Print the mean accuracies of every spec."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="+", help="METHOD or METHOD:KEY=VALUE,KEY=VALUE…")
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count())
    options = parser.parse_args()
    backbone = options.backbone if options.backbone == "tiny" else str(Path(options.backbone))
    for spec in options.settings:
        runs = [joblib.delayed(measure)(spec, backbone, k) for k in range(options.folds)]
        found = joblib.Parallel(options.jobs)(runs)
        means = {style: sum(run[style] for run in found) / len(found) for style in STYLES}
        print(spec, *(f"{style} {mean:.1f}" for style, mean in means.items()), flush=True)


if __name__ == "__main__":
    main()
