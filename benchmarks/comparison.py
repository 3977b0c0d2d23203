"""Writes the tables and plots of docs/comparison.md from results of ``crossprompt bench``.

    python -m benchmarks.comparison results/published results/common

Every folder holds one training of each method, on one data set. Its tables replace those between
``<!-- NAME -->`` and ``<!-- /NAME -->`` with the folder's name; its plot is saved beside the page.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks import document
from crossprompt.bench.report import plots, read_results
from crossprompt.bench.report.entries import MISSING, Measured, measure
from crossprompt.bench.report.load import count_shots
from crossprompt.bench.report.plots import Panel
from crossprompt.bench.report.series import arrange
from crossprompt.methods import METHODS

FAMILIES = {
    "frozen features": ["linear_probe", "tip_adapter", "tip_adapter_f", "clip_adapter", "taskres"],
    "words of the text": ["coop", "cocoop", "kgcoop", "prograd"],
    "one tower or both, apart": ["vpt", "ivlp", "promptsrc", "clip_lora"],
    "both towers, coupled": ["maple", "dcp", "hicropl", "pmpo", "mmap"],
}
"""Methods by what they change, a panel each; the last two change the image tower."""
REFERENCE = "zero_shot"
"""Method drawn across every panel."""


def main(arguments: Sequence[str] | None = None) -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("results", type=Path, nargs="+", help="folders of crossprompt bench")
    parser.add_argument("--output", type=Path, default=Path("docs/comparison.md"))
    chosen = parser.parse_args(arguments)
    written = chosen.output.read_text("utf-8") if chosen.output.exists() else "# Comparison\n"
    for folder in chosen.results:
        grid = Comparison(read_results(folder).records)
        written = document.insert(written, folder.name, grid.tables())
        picture = f"{chosen.output.stem}-{folder.name}.png"
        plots.save(grid.panels(), chosen.output.with_name(picture), one_scale=True)
    chosen.output.write_text(written, "utf-8")


class Comparison:
    """Methods that were trained in one way, on one data set.

    Args:
        records: few-shot runs.
    """

    def __init__(self, records: pd.DataFrame) -> None:
        self.scores = arrange(records)
        self.shots = sorted(records.shots.unique())
        self.tests = list(self.scores.test.unique())
        self.methods = dict(zip(self.scores.series, self.scores.method, strict=True))
        self.numbers = measure(self.scores, ["series", "shots", "test"], records.seed.nunique())

    def tables(self) -> str:
        """The cost of each method, and its accuracy on every test set."""
        parts = [self._costs()]
        parts += [f"**{name}**\n\n{self._accuracies(name)}" for name in self.tests]
        return "\n\n".join(parts)

    def panels(self) -> list[Panel]:
        """Accuracy against shots on the first test set, a panel for every family of methods."""
        curves = {name: self._curve(name) for name in self.methods}
        last = self.shots[-1]
        levels = {
            name: curves[name][last]
            for name, method in self.methods.items()
            if method == REFERENCE and last in curves[name]
        }
        found = []
        for title, methods in FAMILIES.items():
            members = {name: curves[name] for name, x in self.methods.items() if x in methods}
            if members:
                found.append(Panel(title, "shots", pd.DataFrame(members).T, levels))
        return found

    def _costs(self) -> str:
        """Trained parameters, seconds of the fastest seed, and bytes, at the most shots."""
        header = ["method", "fidelity", "trainable parameters", "training (s)", "classifier (kB)"]
        runs = self.scores[self.scores.main & (self.scores.shots == self.shots[-1])]
        rows = []
        for name, method in self.methods.items():
            found = runs[runs.series == name]
            # the seeds do the same work: the fastest was disturbed least
            seconds = min((run["train"] for run in found.seconds), default=None)
            rows.append(
                [
                    name,
                    METHODS[method].fidelity,
                    _range(found.trained_parameters),
                    MISSING if seconds is None else f"{seconds:.1f}",
                    _range([round(size / 1000) for size in found.classifier_bytes]),
                ]
            )
        return document.markdown(header, rows)

    def _accuracies(self, test: str) -> str:
        header = ["method", *map(count_shots, self.shots)]
        rows = {name: self._curve(name, test) for name in self.methods}
        best = {
            shots: max((row[shots].mean for row in rows.values() if shots in row), default=None)
            for shots in self.shots
        }
        return document.markdown(
            header,
            [
                [name, *(_format(row.get(shots), best[shots]) for shots in self.shots)]
                for name, row in rows.items()
            ],
        )

    def _curve(self, name: str, test: str | None = None) -> dict[int, Measured]:
        """Shots to accuracy on a test set, by default the first."""
        where = [(shots, (name, shots, test or self.tests[0])) for shots in self.shots]
        return {shots: self.numbers[key] for shots, key in where if key in self.numbers}


def _range(values: Sequence[int] | pd.Series) -> str:
    """Smallest and largest value, once where they are the same."""
    found = sorted(values)
    return " to ".join(f"{number:,}" for number in dict.fromkeys([*found[:1], *found[-1:]]))


def _format(number: Measured | None, best: float | None) -> str:
    if number is None:
        return MISSING
    text = f"{100 * number.mean:.1f} ± {100 * number.deviation:.1f}{number.mark}"
    return f"**{text}**" if number.mean == best else text


if __name__ == "__main__":
    main()
