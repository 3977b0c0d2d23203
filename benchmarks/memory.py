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

import torch

from benchmarks import document, machine
from benchmarks.dense import estimated_memory
from benchmarks.document import Document
from benchmarks.step_time import CASES, dense_step
from benchmarks.timing import Function
from benchmarks.workload import BATCH, Workload, names_of, random_clip
from crossprompt.precision import DTYPES

STEPS = 2
"""Of training in every process: the optimiser's state exists from the first."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = document.build_parser(__doc__)
    document.add_cases(parser, CASES)
    parser.add_argument("--batch-size", type=int, default=BATCH, help="images in a step (4)")
    parser.add_argument("--only", choices=["ours", "dense"], help="in this very process, as JSON")
    chosen = parser.parse_args(arguments)
    device, batch = document.device_of(chosen), chosen.batch_size
    if chosen.only:
        print(json.dumps(measure(chosen.only, chosen.classes[0], chosen.dtypes[0], batch, device)))
        return
    rows = []
    for case in chosen.classes:
        document.say(f"memory: {case} classes")
        rows.append(_row(case, chosen.dtypes, batch, device))
    found = document.document("memory", device, rows, batch_size=batch)
    document.show(found, table, chosen.json)


def measure(
    which: str, case: str, dtype: str, batch: int, device: torch.device
) -> dict[str, float]:
    """Run a few steps here and ask how much memory this process has taken."""
    step: Function
    if which == "dense":
        step = dense_step(case, batch, device)
    else:
        step = Workload.of(random_clip(DTYPES[dtype], device), names_of(case), batch).step
    for _ in range(STEPS):
        step()
    return {"peak_gb": machine.peak_memory(device) / machine.GB}


def _row(case: str, dtypes: Sequence[str], batch: int, device: torch.device) -> dict[str, Any]:
    """A row of the table: GB of every process."""
    peak = {f"ours {dtype}": _in_a_process("ours", case, dtype, batch, device) for dtype in dtypes}
    row: dict[str, Any] = {"case": case, "classes": len(names_of(case)), "peak_gb": peak}
    need = estimated_memory(row["classes"], batch)
    if need < machine.available_memory(device):
        peak["dense fp32"] = _in_a_process("dense", case, "fp32", batch, device)
    else:
        row["dense_left_out"] = f"needs about {need / machine.GB:.0f} GB"
    return row


def _in_a_process(which: str, case: str, dtype: str, batch: int, device: torch.device) -> float:
    options = {"only": which, "classes": case, "dtypes": dtype, "batch-size": batch}
    words = [f"--{name}={value}" for name, value in {**options, "device": device}.items()]
    command = [sys.executable, "-m", "benchmarks.memory", *words]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
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
