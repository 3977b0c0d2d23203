"""Time of a DCP training step on ViT-B/16: ours, the dense form's, and of its products alone.

    python -m benchmarks.step_time --classes 10 100 1000 imagenet --dtypes fp32 bf16 --repeats 5

``limit`` is the time of the step's matrix products alone. The dense form, in fp32, is left out
where its estimated memory is not there.
"""

from collections.abc import Sequence
from typing import Any

import torch

from benchmarks import document, limit, machine
from benchmarks.dense import Dense, estimated_memory
from benchmarks.document import Document
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import BATCH, Workload, names_of, random_clip
from crossprompt.precision import DTYPES

CASES = ("10", "100", "1000", "imagenet")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = document.build_parser(__doc__)
    document.add_cases(parser, CASES)
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (5)")
    parser.add_argument("--batch-size", type=int, default=BATCH, help="images in a step (4)")
    chosen = parser.parse_args(arguments)
    device = document.device_of(chosen)
    rows = []
    for case in chosen.classes:
        document.say(f"step_time: {case} classes")
        rows.append(measure(case, chosen.dtypes, chosen.batch_size, chosen.repeats, device))
    settings = {"repeats": chosen.repeats, "batch_size": chosen.batch_size}
    found = document.document("step_time", device, rows, **settings)
    document.show(found, table, chosen.json)


def measure(
    case: str, dtypes: Sequence[str], batch: int, repeats: int, device: torch.device
) -> dict[str, Any]:
    """A row of the table: medians and all calls of every function, in seconds."""
    names = names_of(case)
    row: dict[str, Any] = {"case": case, "classes": len(names)}
    functions: dict[str, Function] = {}
    need, there = estimated_memory(len(names), batch), machine.available_memory(device)
    if need < there:
        functions["dense fp32"] = dense_step(case, batch, device)
    else:
        row["dense_left_out"] = f"needs about {need / machine.GB:.0f} GB"
        document.say(f"  no dense form: it {row['dense_left_out']}, {there / machine.GB:.0f} free")
    for dtype in dtypes:
        workload = Workload.of(random_clip(DTYPES[dtype], device), names, batch)
        products = limit.record(workload.backward)
        functions[f"ours {dtype}"] = workload.step
        functions[f"limit {dtype}"] = limit.replay(products, device)
        row |= {"gflop": products.flops / 1e9, "name_tokens": workload.name_tokens()}
    seconds = alternate(functions, repeats, device)
    return {**row, "seconds": medians(seconds), "all_seconds": seconds}


def dense_step(case: str, batch: int, device: torch.device) -> Function:
    """The authors' training step, from random pixels to the optimiser, in fp32."""
    workload = Workload.of(random_clip(torch.float32, device), names_of(case), batch)
    dense = Dense(workload.clip, workload.method)

    def step() -> None:
        workload.optimiser.zero_grad(set_to_none=True)
        dense.loss(workload.images, workload.labels).backward()
        workload.optimiser.step()

    return step


def table(found: Document) -> str:
    """Seconds of a step; how many times faster than the dense form; how close to the limit."""
    names = list(dict.fromkeys(name for row in found["rows"] for name in row["seconds"]))
    dtypes = [name.removeprefix("ours ") for name in names if name.startswith("ours")]
    header = ["classes", "name tokens", "dense fp32 (s)"]
    for dtype in dtypes:
        header += [f"ours {dtype} (s)", "x faster", "products alone (s)", "x the limit"]
    return document.markdown(header, [_cells(row, dtypes) for row in found["rows"]])


def _cells(row: dict[str, Any], dtypes: Sequence[str]) -> list[str]:
    seconds, dense = row["seconds"], row["seconds"].get("dense fp32")
    cells = [
        document.case_in_words(row["case"]),
        f"{row['name_tokens']:,}",
        row.get("dense_left_out") or f"{dense:.2f}",
    ]
    for dtype in dtypes:
        ours, alone = seconds[f"ours {dtype}"], seconds[f"limit {dtype}"]
        faster = "" if dense is None else f"{dense / ours:.1f}"
        cells += [f"{ours:.2f}", faster, f"{alone:.2f}", f"{ours / alone:.2f}"]
    return cells


if __name__ == "__main__":
    main()
