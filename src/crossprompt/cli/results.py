"""How measured accuracies are shown."""

from collections.abc import Mapping

from crossprompt.cli.terminal import print_table
from crossprompt.evaluate import Result

COLUMNS = ["images", "number", "accuracy %", "95 % interval", "macro F1 %", "ECE %"]


def show_results(results: Mapping[str, Result]) -> None:
    """A row per test set."""
    rows = [
        [
            name,
            result.n,
            f"{100 * result.accuracy:.1f}",
            f"{100 * result.interval[0]:.1f}-{100 * result.interval[1]:.1f}",
            f"{100 * result.macro_f1:.1f}",
            f"{100 * result.ece:.1f}",
        ]
        for name, result in results.items()
    ]
    print_table("Accuracy", COLUMNS, rows)


def show_classes(results: Mapping[str, Result]) -> None:
    """A row per class, a column per test set; a class without images there has none."""
    names = dict.fromkeys(name for result in results.values() for name in result.per_class)
    rows = [[name, *(_share(result, name) for result in results.values())] for name in names]
    print_table("Accuracy of every class in %", ["class", *results], rows)


def _share(result: Result, name: str) -> str:
    return f"{100 * result.per_class[name]:.1f}" if name in result.per_class else "-"
