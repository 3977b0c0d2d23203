"""Whether ``torch.compile`` pays: a DCP step on ViT-B/16 with compiled blocks, next to ours.

    python -m benchmarks.compiled --classes 100 --dtypes fp32 bf16 --repeats 5

Compiled are the MLPs alone, where the elementwise passes are, or every block's whole ``mix``. The
first two steps, in which PyTorch compiles, are timed apart.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks import document
from benchmarks.document import Document
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import BATCH, Setting, names_of
from crossprompt.clip.blocks import Block
from crossprompt.clip.model import CLIP

STEPS = 2
"""In which PyTorch compiles: the second finds what the first has changed."""


def compile_mlps(block: Block) -> None:
    """The MLP: two products with an activation between them."""
    block.mlp.compile()


def compile_mix(block: Block) -> None:
    """Attention, MLP and norms."""
    block.mix = torch.compile(block.mix)  # type: ignore[method-assign]


WAYS: dict[str, Callable[[Block], None]] = {"MLPs": compile_mlps, "blocks": compile_mix}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("100",), batch_size=BATCH)
    parser.add_argument("--compile", nargs="+", choices=list(WAYS), default=list(WAYS))
    chosen = parser.parse_args(arguments)
    setting = document.setting_of(chosen)
    rows = [
        measure(case, dtype, chosen.compile, setting)
        for case in chosen.classes
        for dtype in setting.dtypes
    ]
    document.show(document.document("compiled", setting, rows), table, chosen.json)


def measure(case: str, dtype: str, ways: Sequence[str], setting: Setting) -> dict[str, Any]:
    """A row of the table: seconds of every way, and of compiling."""
    document.say(f"compiled: {case} classes, {dtype}")
    functions: dict[str, Function] = {"as it is": setting.workload(case, dtype).step}
    compiling = {}
    for way in ways:
        workload = setting.workload(case, dtype)
        compile_blocks(workload.clip, way)
        began = time.perf_counter()
        for _ in range(STEPS):
            workload.step()
        compiling[way] = time.perf_counter() - began
        functions[way] = workload.step
    seconds = alternate(functions, setting.repeats, setting.device)
    row = {"case": case, "classes": len(names_of(case)), "dtype": dtype, "compiling": compiling}
    return {**row, "seconds": medians(seconds), "all_seconds": seconds}


def compile_blocks(clip: CLIP, way: str) -> None:
    """Compile all blocks of both towers, in one of ``WAYS``."""
    for block in (*clip.image.blocks, *clip.text.blocks):
        WAYS[way](block)


def table(found: Document) -> str:
    """Seconds of a step, and of the first two together."""
    ways = list(found["rows"][0]["compiling"])
    header = ["classes", "computed in", "as it is (s)"]
    for way in ways:
        header += [f"{way} compiled (s)", "x the time", "first two steps (s)"]
    rows = []
    for row in found["rows"]:
        plain = row["seconds"]["as it is"]
        cells = [document.case_in_words(row["case"]), row["dtype"], f"{plain:.2f}"]
        for way in ways:
            taken = row["seconds"][way]
            cells += [f"{taken:.2f}", f"{taken / plain:.2f}", f"{row['compiling'][way]:.0f}"]
        rows.append(cells)
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
