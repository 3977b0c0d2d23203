"""Time of a DCP training step on ViT-B/16: ours, the dense form, and matrix products alone.

    python -m benchmarks.step_time --classes 10 100 1000 imagenet --dtypes fp32 bf16 --repeats 5

``limit`` is the time of the step's matrix products alone. The dense form, in fp32, is left out
where its estimated memory exceeds the available memory.
"""

from collections.abc import Sequence

from benchmarks import document, limit, machine
from benchmarks.dense import Dense, estimated_memory
from benchmarks.document import Document, Row
from benchmarks.machine import GB
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import BATCH, Setting, names_of

CASES = ("10", "100", "1000", "imagenet")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.build_parser(__doc__)
    document.add_cases(parser, CASES, batch_size=BATCH)
    document.measure_cases("step_time", parser.parse_args(arguments), measure, table)


def measure(case: str, setting: Setting) -> list[Row]:
    """Medians and all calls of every function, in seconds."""
    row: Row = {"case": case, "classes": len(names_of(case))}
    functions: dict[str, Function] = {}
    left_out = too_large(row["classes"], setting)
    if left_out:
        row["dense_left_out"] = left_out
    else:
        functions["dense fp32"] = dense_step(case, setting)
    for dtype in setting.dtypes:
        workload = setting.workload(case, dtype)
        products = limit.record(workload.backward)
        functions[f"ours {dtype}"] = workload.step
        functions[f"limit {dtype}"] = limit.replay(products, setting.device)
        row |= {"gflop": products.flops / 1e9, "name_tokens": workload.name_tokens()}
    seconds = alternate(functions, setting.repeats, setting.device)
    return [{**row, "seconds": medians(seconds), "all_seconds": seconds}]


def too_large(classes: int, setting: Setting) -> str | None:
    """Reason why the dense form cannot run here, None if it can."""
    need = estimated_memory(classes, setting.batch_size, setting.config)
    free = machine.available_memory(setting.device)
    if need < free:
        return None
    document.report_progress(
        f"  no dense form: about {need / GB:.0f} GB needed, {free / GB:.0f} GB free"
    )
    return f"needs about {need / GB:.0f} GB"


def dense_step(case: str, setting: Setting) -> Function:
    """The authors' training step, from random pixels to the optimizer, in fp32."""
    workload = setting.workload(case, "fp32")
    dense = Dense(workload.clip, workload.method)

    def step() -> None:
        workload.optimizer.zero_grad(set_to_none=True)
        dense.loss(workload.images, workload.labels).backward()
        workload.optimizer.step()

    return step


def table(found: Document) -> str:
    """Seconds per step, speed-up over the dense form, and ratio to the limit."""
    names = list(dict.fromkeys(name for row in found["rows"] for name in row["seconds"]))
    dtypes = [name.removeprefix("ours ") for name in names if name.startswith("ours")]
    header = ["classes", "name tokens", "dense fp32 (s)"]
    for dtype in dtypes:
        header += [f"ours {dtype} (s)", "speed-up", "products alone (s)", "x the limit"]
    return document.markdown(header, [_cells(row, dtypes) for row in found["rows"]])


def _cells(row: Row, dtypes: Sequence[str]) -> list[str]:
    seconds, dense = row["seconds"], row["seconds"].get("dense fp32")
    cells = [
        document.label_case(row["case"]),
        f"{row['name_tokens']:,}",
        row.get("dense_left_out") or f"{dense:.2f}",
    ]
    for dtype in dtypes:
        ours, alone = seconds[f"ours {dtype}"], seconds[f"limit {dtype}"]
        speed_up = "" if dense is None else f"{dense / ours:.1f}"
        cells += [f"{ours:.2f}", speed_up, f"{alone:.2f}", f"{ours / alone:.2f}"]
    return cells


if __name__ == "__main__":
    main()
