"""``crossprompt evaluate``: measure a saved classifier on labelled images."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from crossprompt.artifact import load
from crossprompt.cli.fit import add_device_arguments, show_results
from crossprompt.cli.terminal import print_table, reporting
from crossprompt.data.items import Dataset, Item, Split
from crossprompt.data.registry import load_dataset
from crossprompt.errors import RequestError
from crossprompt.evaluate import Result, evaluate

SUMMARY = "Measure a saved classifier on labelled images."
EXAMPLE = "crossprompt evaluate runs/photos photos"


def add_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Options of the evaluation."""
    parser.add_argument("run", type=Path, help="folder of a saved classifier")
    parser.add_argument("data", help="a folder of class folders, a CSV file, or a data set's name")
    parser.add_argument("--root", help="folder that holds the data set")
    parser.add_argument(
        "--all-images", action="store_true", help="every image of the data, not only its test split"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="images at a time (default: 64)")
    parser.add_argument(
        "--skip-bad-images", action="store_true", help="leave out images that cannot be read"
    )
    parser.add_argument("--per-class", action="store_true", help="also the accuracy of every class")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_device_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate, and print a table or JSON."""
    data = load_dataset(options.data, root=options.root)
    with reporting() as terminal:
        data = data.checked(options.skip_bad_images, terminal.count("Checking images"))
        classifier = load(options.run, device=options.device, dtype=options.dtype)
        splits = _splits(data, options.all_images)
        results = {
            name: evaluate(
                classifier,
                _relabelled(split, data.class_names, classifier.class_names),
                batch_size=options.batch_size,
                progress=terminal.count(f"Evaluating on {name}"),
            )
            for name, split in splits.items()
        }
    if options.json:
        print(json.dumps({name: result.to_json() for name, result in results.items()}))
        return 0
    show_results(results)
    if options.per_class:
        _show_classes(results)
    return 0


def _splits(data: Dataset, all_images: bool) -> dict[str, Split]:
    if all_images:
        return {"all": Split(tuple(item for split in data.splits.values() for item in split))}
    splits = {name: split for name, split in {"test": data.test, **data.shifted}.items() if split}
    if not splits:
        raise RequestError(f"{data.name} has no test images; --all-images takes every image")
    return splits


def _relabelled(split: Split, names: Sequence[str], known: Sequence[str]) -> list[Item]:
    """Labels of the data as those of the classifier, by class name."""
    unknown = sorted({names[label] for label in split.labels} - set(known))
    if unknown:
        raise RequestError(
            f"the data has classes that the classifier does not know: {', '.join(unknown[:5])}; it knows "
            f"{', '.join(list(known)[:5])}{', …' if len(known) > 5 else ''}"
        )
    return [Item(item.path, list(known).index(names[item.label])) for item in split]


def _show_classes(results: dict[str, Result]) -> None:
    names = next(iter(results.values())).per_class
    rows = [
        [
            name,
            *(
                f"{100 * result.per_class.get(name, float('nan')):.1f}"
                for result in results.values()
            ),
        ]
        for name in names
    ]
    print_table("Accuracy of every class in %", ["class", *results], rows)
