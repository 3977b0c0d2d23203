"""Writes the tables and plots of docs/comparison.md from results of ``crossprompt bench``.

    python -m benchmarks.comparison results/published results/common

Every folder holds one training of each method, on one data set. Its tables replace those between
``<!-- NAME -->`` and ``<!-- /NAME -->`` with the folder's name; its plot is saved beside the page.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import document
from crossprompt.bench.report import pictures
from crossprompt.bench.report.entries import MISSING, Measured, measured
from crossprompt.bench.report.panels import Curve, Level, Panel
from crossprompt.bench.report.reading import read_results
from crossprompt.bench.report.records import PROTOCOLS, Record
from crossprompt.bench.report.series import Series, group
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
        pictures.save(grid.panels(), chosen.output.with_name(picture), one_scale=True)
    chosen.output.write_text(written, "utf-8")


class Comparison:
    """Methods that were trained in one way, on one data set.

    Args:
        records: few-shot runs.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.series = group(records)
        self.shots = sorted({record.cell.shots or 0 for record in records})
        self.seeds = sorted({record.cell.seed for record in records})
        self.tests = list(dict.fromkeys(o.name for r in records for o in r.outcomes))
        (self.dataset,) = {record.cell.dataset for record in records}

    def tables(self) -> str:
        """The cost of each method, and its accuracy on every test set."""
        parts = [self._costs()]
        parts += [f"**{name}**\n\n{self._accuracies(name)}" for name in self.tests]
        return "\n\n".join(parts)

    def panels(self) -> list[Panel]:
        """Accuracy against shots on the first test set, a panel for every family of methods."""
        ticks = tuple((float(shots), str(shots)) for shots in self.shots)
        found = []
        for title, methods in FAMILIES.items():
            members = [one for one in self.series if one.cell.method in methods]
            if members:
                curves = tuple(self._curve(one) for one in members)
                found.append(Panel(title, "shots", ticks, curves, self._levels()))
        return found

    def _costs(self) -> str:
        """Trained parameters, seconds of the fastest seed, and bytes, at the most shots."""
        header = ["method", "fidelity", "trainable parameters", "training (s)", "classifier (kB)"]
        rows = []
        for one in self.series:
            records = list(self._of(one, self.shots[-1]).values())
            # the seeds do the same work: the fastest was disturbed least
            seconds = min((record.seconds["train"] for record in records), default=None)
            rows.append(
                [
                    one.name,
                    METHODS[one.cell.method].fidelity,
                    _same(records, lambda record: record.trained_parameters),
                    MISSING if seconds is None else f"{seconds:.1f}",
                    _same(records, lambda record: round(record.classifier_bytes / 1000)),
                ]
            )
        return document.markdown(header, rows)

    def _accuracies(self, test: str) -> str:
        header = ["method", *(f"{n} shot{'s' * (n > 1)}" for n in self.shots)]
        columns = {
            one.name: [self._accuracy(one, shots, test) for shots in self.shots]
            for one in self.series
        }
        best = [
            max((number.mean for number in column if number), default=None)
            for column in zip(*columns.values(), strict=True)
        ]
        rows = [
            [name, *(_in_words(number, top) for number, top in zip(row, best, strict=True))]
            for name, row in columns.items()
        ]
        return document.markdown(header, rows)

    def _accuracy(self, one: Series, shots: int, test: str) -> Measured | None:
        found = {seed: record.outcome(test) for seed, record in self._of(one, shots).items()}
        return measured({seed: o.accuracy for seed, o in found.items() if o}, self.seeds)

    def _of(self, one: Series, shots: int) -> Mapping[int, Record]:
        return one.of(PROTOCOLS[0], self.dataset, shots)

    def _curve(self, one: Series) -> Curve:
        numbers = [(shots, self._accuracy(one, shots, self.tests[0])) for shots in self.shots]
        return Curve(one.name, tuple((float(shots), number) for shots, number in numbers if number))

    def _levels(self) -> tuple[Level, ...]:
        found = [one for one in self.series if one.cell.method == REFERENCE]
        numbers = [(one.name, self._accuracy(one, self.shots[-1], self.tests[0])) for one in found]
        return tuple(Level(name, number) for name, number in numbers if number)


def _same(records: Sequence[Record], value: Callable[[Record], int]) -> str:
    """Smallest and largest value of the seeds, once where they are the same."""
    found = sorted({value(record) for record in records})
    return " to ".join(f"{number:,}" for number in dict.fromkeys([*found[:1], *found[-1:]]))


def _in_words(number: Measured | None, top: float | None) -> str:
    if number is None:
        return MISSING
    text = f"{100 * number.mean:.1f} ± {100 * number.deviation:.1f}"
    text += number.mark
    return f"**{text}**" if number.mean == top else text


if __name__ == "__main__":
    main()
