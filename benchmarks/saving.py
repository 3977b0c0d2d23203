"""What it costs to keep less: time and peak memory of a training step, by what is computed twice.

    python -m benchmarks.saving --classes 1000 --dtypes fp32 bf16 --repeats 5
    python -m benchmarks.saving --only 3 --classes 1000 --dtypes bf16

``crossprompt fit --memory-limit`` takes the first row that is estimated to be within the limit.
Peak memory is that of a process for each row, which trains for two steps.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import document, machine
from benchmarks.document import Document
from benchmarks.memory import STEPS, in_a_process
from benchmarks.timing import alternate, medians
from benchmarks.workload import BATCH, Setting, Workload, names_of
from crossprompt.training.memory import LEVELS, Recompute, applied


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("1000",), batch_size=BATCH)
    numbers = range(len(LEVELS))
    levels = {"type": int, "nargs": "+", "choices": numbers, "default": list(numbers)}
    parser.add_argument("--levels", **levels, help="rows of the table (all)")
    parser.add_argument("--only", type=int, choices=numbers, help="in this very process, as JSON")
    chosen = parser.parse_args(arguments)
    setting = document.setting_of(chosen)
    if chosen.only is not None:
        print(json.dumps(measure(LEVELS[chosen.only], chosen.classes[0], setting)))
        return
    rows = []
    for case in chosen.classes:
        for dtype in setting.dtypes:
            document.say(f"saving: {case} classes, {dtype}")
            rows += _rows(case, dtype, chosen.levels, setting)
    document.show(document.document("saving", setting, rows), table, chosen.json)


def measure(saving: Recompute, case: str, setting: Setting) -> dict[str, float]:
    """Run a few steps here and ask how much memory this process has taken."""
    workload = setting.workload(case, setting.dtypes[0])
    step = _step(workload, saving)
    for _ in range(STEPS):
        step()
    return {"peak_gb": machine.peak_memory(setting.device) / machine.GB}


def _rows(case: str, dtype: str, levels: Sequence[int], setting: Setting) -> list[dict[str, Any]]:
    """A row for every level: seconds of a step, GB at the peak."""
    workload = setting.workload(case, dtype)
    functions = {str(number): _step(workload, LEVELS[number]) for number in levels}
    seconds = alternate(functions, setting.repeats, setting.device)
    row = {"case": case, "classes": len(names_of(case)), "dtype": dtype}
    return [
        row
        | {
            "saving": LEVELS[number].in_words() if number else "nothing",
            "seconds": medians(seconds)[str(number)],
            "peak_gb": in_a_process("benchmarks.saving", str(number), case, dtype, setting),
        }
        for number in levels
    ]


def _step(workload: Workload, saving: Recompute) -> Callable[[], None]:
    def step() -> None:
        with applied(workload.clip, saving):
            workload.step()

    return step


def table(found: Document) -> str:
    """Seconds and GB, with their ratio to a step that keeps everything."""
    header = ["computed twice", "classes", "computed in", "step (s)", "x", "peak (GB)"]
    rows, all_kept = [], 1.0
    for row in found["rows"]:
        if row["saving"] == "nothing":
            all_kept = row["seconds"]
        cells = [row["saving"], document.case_in_words(row["case"]), row["dtype"]]
        cells += [f"{row['seconds']:.2f}", f"{row['seconds'] / all_kept:.2f}"]
        rows.append([*cells, f"{row['peak_gb']:.2f}"])
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
