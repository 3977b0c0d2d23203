"""A DCP training step on ViT-B/16 with ``torch.compile``, next to the eager step.

    python -m benchmarks.compiled --classes 100 --dtypes fp32 bf16 --repeats 5

Either the MLPs alone are compiled, which contain the elementwise passes, or the whole ``mix`` of
every block. The first two steps, in which PyTorch compiles, are timed separately.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from benchmarks import document
from benchmarks.document import Document, Row
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import BATCH, Setting, names_of
from crossprompt.clip.blocks import Block

STEPS = 2
"""Steps in which PyTorch compiles: the second adapts to the changes of the first."""


def compile_mlps(block: Block) -> None:
    """Compile the MLP: two products with an activation between them."""
    block.mlp.compile()


def compile_mix(block: Block) -> None:
    """Compile attention, MLP and norms."""
    block.mix = torch.compile(block.mix)  # type: ignore[method-assign]


PARTS: dict[str, Callable[[Block], None]] = {"MLPs": compile_mlps, "blocks": compile_mix}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("100",), batch_size=BATCH)
    parser.add_argument("--compile", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args(arguments)
    document.measure_cases("compiled", options, partial(measure, options.compile), table)


def measure(parts: Sequence[str], case: str, setting: Setting) -> Iterator[Row]:
    """Yield a row for every dtype: seconds of every step, and of compiling."""
    for dtype in setting.dtypes:
        functions: dict[str, Function] = {"as it is": setting.workload(case, dtype).step}
        compiling = {}
        for part in parts:
            workload = setting.workload(case, dtype)
            for block in (*workload.clip.image.blocks, *workload.clip.text.blocks):
                PARTS[part](block)
            began = time.perf_counter()
            for _ in range(STEPS):
                workload.step()
            compiling[part] = time.perf_counter() - began
            functions[part] = workload.step
        seconds = alternate(functions, setting.repeats, setting.device)
        row = {"case": case, "classes": len(names_of(case)), "dtype": dtype, "compiling": compiling}
        yield {**row, "seconds": medians(seconds), "all_seconds": seconds}


def table(found: Document) -> str:
    """Seconds per step, and of the first two steps together."""
    parts = list(found["rows"][0]["compiling"])
    header = ["classes", "dtype", "eager (s)"]
    for part in parts:
        header += [f"{part} compiled (s)", "x eager", "first two steps (s)"]
    rows = []
    for row in found["rows"]:
        eager = row["seconds"]["as it is"]
        cells = [document.label_case(row["case"]), row["dtype"], f"{eager:.2f}"]
        for part in parts:
            taken = row["seconds"][part]
            cells += [f"{taken:.2f}", f"{taken / eager:.2f}", f"{row['compiling'][part]:.0f}"]
        rows.append(cells)
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
