"""Peak memory of DCP training steps on ViT-B/16: ours and the dense form, a process for each.

    python -m benchmarks.memory --classes 10 100 1000 imagenet --dtypes fp32 bf16
    python -m benchmarks.memory --only ours --classes 100 --dtypes bf16

The whole process is counted, with Python, PyTorch and all weights; on CUDA, what is allocated on
the device. The dense form, in fp32, is left out where its estimated memory is not there.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import document, machine
from benchmarks.document import Document
from benchmarks.step_time import CASES, dense_step, too_large
from benchmarks.timing import Function
from benchmarks.workload import BATCH, Setting, names_of

STEPS = 2
"""Of training in every process: the optimizer's state exists from the first."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = document.build_parser(__doc__)
    document.add_cases(parser, CASES, batch_size=BATCH, repeats=False)
    parser.add_argument("--only", choices=["ours", "dense"], help="in this very process, as JSON")
    chosen = parser.parse_args(arguments)
    setting = document.setting_of(chosen)
    if chosen.only:
        print(json.dumps(measure(chosen.only, chosen.classes[0], setting)))
        return
    rows = []
    for case in chosen.classes:
        document.say(f"memory: {case} classes")
        rows.append(_row(case, setting))
    document.show(document.document("memory", setting, rows), table, chosen.json)


def measure(which: str, case: str, setting: Setting) -> dict[str, float]:
    """Run a few steps here and ask how much memory this process has taken."""
    step: Function
    if which == "dense":
        step = dense_step(case, setting)
    else:
        step = setting.workload(case, setting.dtypes[0]).step
    for _ in range(STEPS):
        step()
    return {"peak_gb": machine.peak_memory(setting.device) / machine.GB}


def _row(case: str, setting: Setting) -> dict[str, Any]:
    """A row of the table: GB of every process."""
    row: dict[str, Any] = {"case": case, "classes": len(names_of(case))}
    left_out = too_large(row["classes"], setting)
    if left_out:
        row["dense_left_out"] = left_out
    names = [("ours", dtype) for dtype in setting.dtypes]
    names += [] if left_out else [("dense", "fp32")]
    peak = {
        f"{which} {dtype}": in_a_process("benchmarks.memory", which, case, dtype, setting)
        for which, dtype in names
    }
    return {**row, "peak_gb": peak}


def in_a_process(script: str, which: str, case: str, dtype: str, setting: Setting) -> float:
    """GB at the peak of a process that runs a script's ``--only``."""
    options = {"only": which, "classes": case, "dtypes": dtype, "backbone": setting.backbone}
    options |= {"batch-size": str(setting.batch_size), "device": str(setting.device)}
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", script, *words]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(finished.stdout)["peak_gb"])


def table(found: Document) -> str:
    """GB at the peak, and the part of the dense form's."""
    names = list(dict.fromkeys(name for row in found["rows"] for name in row["peak_gb"]))
    ours = [name for name in names if name.startswith("ours")]
    header = ["classes", "dense fp32 (GB)"]
    for name in ours:
        header += [f"{name} (GB)", "of the dense form"]
    rows = []
    for row in found["rows"]:
        dense = row["peak_gb"].get("dense fp32")
        cells = [document.case_in_words(row["case"])]
        cells.append(row.get("dense_left_out") or f"{dense:.2f}")
        for name in ours:
            part = "" if dense is None else f"{row['peak_gb'][name] / dense:.0%}"
            cells += [f"{row['peak_gb'][name]:.2f}", part]
        rows.append(cells)
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
