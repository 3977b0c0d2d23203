"""Peak memory of DCP training steps on ViT-B/16: ours and the dense form, each in a process.

    python -m benchmarks.memory --classes 10 100 1000 imagenet --dtypes fp32 bf16
    python -m benchmarks.memory --only ours --classes 100 --dtypes bf16

The whole process counts, with Python, PyTorch and all weights; on CUDA, the memory allocated on the
device. The dense form, in fp32, is left out where its estimated memory exceeds the available
memory.
"""

import json
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import document, machine
from benchmarks.document import Document, Row
from benchmarks.step_time import CASES, dense_step, too_large
from benchmarks.timing import Function
from benchmarks.workload import BATCH, Setting, names_of

ONLY = "print the peak memory of this process as JSON"
STEPS = 2
"""Calls in every process: the optimizer's state exists from the first."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.build_parser(__doc__)
    document.add_cases(parser, CASES, batch_size=BATCH, repeats=False)
    parser.add_argument("--only", choices=["ours", "dense"], help=ONLY)
    options = parser.parse_args(arguments)
    if not options.only:
        document.measure_cases("memory", options, measure, table)
        return
    setting, case = document.setting_of(options), options.classes[0]
    dense = options.only == "dense"
    step = dense_step(case, setting) if dense else setting.workload(case, setting.dtypes[0]).step
    print_peak(step, setting)


def print_peak(function: Function, setting: Setting) -> None:
    """Call a function ``STEPS`` times and print this process's peak memory."""
    for _ in range(STEPS):
        function()
    print(json.dumps({"peak_gb": machine.peak_memory(setting.device) / machine.GB}))


def peak_in_process(script: str, which: str, case: str, dtype: str, setting: Setting) -> float:
    """Peak memory in GB of a process that runs a script with ``--only``."""
    options = {"only": which, "classes": case, "dtypes": dtype, "backbone": setting.backbone}
    options |= {"batch-size": str(setting.batch_size), "device": str(setting.device)}
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", script, *words]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(finished.stdout)["peak_gb"])


def measure(case: str, setting: Setting) -> list[Row]:
    row: Row = {"case": case, "classes": len(names_of(case))}
    left_out = too_large(row["classes"], setting)
    if left_out:
        row["dense_left_out"] = left_out
    names = [("ours", dtype) for dtype in setting.dtypes]
    names += [] if left_out else [("dense", "fp32")]
    peak = {
        f"{which} {dtype}": peak_in_process("benchmarks.memory", which, case, dtype, setting)
        for which, dtype in names
    }
    return [{**row, "peak_gb": peak}]


def table(found: Document) -> str:
    """Peak memory in GB, and its share of the dense form's."""
    names = list(dict.fromkeys(name for row in found["rows"] for name in row["peak_gb"]))
    ours = [name for name in names if name.startswith("ours")]
    header = ["classes", "dense fp32 (GB)"]
    for name in ours:
        header += [f"{name} (GB)", "of dense"]
    rows = []
    for row in found["rows"]:
        dense = row["peak_gb"].get("dense fp32")
        cells = [document.label_case(row["case"])]
        cells.append(row.get("dense_left_out") or f"{dense:.2f}")
        for name in ours:
            share = "" if dense is None else f"{row['peak_gb'][name] / dense:.0%}"
            cells += [f"{row['peak_gb'][name]:.2f}", share]
        rows.append(cells)
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
