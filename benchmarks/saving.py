"""Activation checkpointing: time and peak memory of a DCP training step at each level.

    python -m benchmarks.saving --classes 1000 --dtypes fp32 bf16 --repeats 5
    python -m benchmarks.saving --only 3 --classes 1000 --dtypes bf16

``crossprompt fit --memory-limit`` takes the first row whose estimate is within the limit. Peak
memory is measured in a separate process for each row, which trains for two steps.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks import document
from benchmarks.document import Document, Row
from benchmarks.memory import ONLY, peak_in_process, print_peak
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import BATCH, Setting, Workload, names_of
from crossprompt.training.memory import LEVELS, Recompute, applied


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("1000",), batch_size=BATCH)
    numbers = range(len(LEVELS))
    levels = {"type": int, "nargs": "+", "choices": numbers, "default": list(numbers)}
    parser.add_argument("--levels", **levels, help="rows of the table (all)")
    parser.add_argument("--only", type=int, choices=numbers, help=ONLY)
    options = parser.parse_args(arguments)
    if options.only is None:
        document.measure_cases("saving", options, partial(measure, options.levels), table)
        return
    setting = document.setting_of(options)
    workload = setting.workload(options.classes[0], setting.dtypes[0])
    print_peak(_step(workload, LEVELS[options.only]), setting)


def measure(levels: Sequence[int], case: str, setting: Setting) -> Iterator[Row]:
    """Yield a row for every dtype and level."""
    for dtype in setting.dtypes:
        workload = setting.workload(case, dtype)
        steps = {str(number): _step(workload, LEVELS[number]) for number in levels}
        seconds = medians(alternate(steps, setting.repeats, setting.device))
        for number in levels:
            yield {
                "case": case,
                "classes": len(names_of(case)),
                "dtype": dtype,
                "saving": LEVELS[number].in_words() if number else "nothing",
                "seconds": seconds[str(number)],
                "peak_gb": peak_in_process("benchmarks.saving", str(number), case, dtype, setting),
            }


def _step(workload: Workload, recompute: Recompute) -> Function:
    def step() -> None:
        with applied(workload.clip, recompute):
            workload.step()

    return step


def table(found: Document) -> str:
    """Seconds and GB, with the ratio to a step that stores all activations."""
    header = ["recomputed", "classes", "dtype", "step (s)", "x", "peak (GB)"]
    rows, all_stored = [], 1.0
    for row in found["rows"]:
        if row["saving"] == "nothing":
            all_stored = row["seconds"]
        cells = [row["saving"], document.label_case(row["case"]), row["dtype"]]
        cells += [f"{row['seconds']:.2f}", f"{row['seconds'] / all_stored:.2f}"]
        rows.append([*cells, f"{row['peak_gb']:.2f}"])
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
