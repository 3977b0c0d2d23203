"""CoCoOp on ViT-B/16, whose every image has a text of its own for every class.

    python -m benchmarks.cocoop --classes 10 100 1000 --dtypes fp32 bf16 --batch-size 8
    python -m benchmarks.cocoop --only classifying --classes 100 --dtypes bf16

A training step may take 4 GB: what does not fit is computed twice. Peak memory is that of a process
for each, with Python, PyTorch and all weights; on CUDA, what is allocated on the device. That of
the dense form, 77 tokens for every image and class in fp32, is estimated.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from benchmarks import document, machine
from benchmarks.dense import estimated_memory
from benchmarks.document import Document
from benchmarks.machine import GB
from benchmarks.memory import STEPS, in_a_process
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import Setting, names_of, random_images
from crossprompt.classifier.classifier import freeze
from crossprompt.methods import build_method
from crossprompt.training.memory import Recompute, applied, choose_recompute
from crossprompt.training.optimizer import build_optimizer

LIMIT = 4 * GB
"""What a training step may take."""
BATCH = 8
"""Images at a time, where the authors take one."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("10", "100", "1000"), batch_size=BATCH)
    parser.add_argument("--only", choices=list(WAYS), help="in this very process, as JSON")
    chosen = parser.parse_args(arguments)
    setting = document.setting_of(chosen)
    if chosen.only:
        print(json.dumps(measure(chosen.only, chosen.classes[0], setting)))
        return
    rows = []
    for case in chosen.classes:
        for dtype in setting.dtypes:
            document.say(f"cocoop: {case} classes, {dtype}")
            rows.append(_row(case, dtype, setting))
    document.show(document.document("cocoop", setting, rows), table, chosen.json)


def measure(which: str, case: str, setting: Setting) -> dict[str, float]:
    """Run a few times here and ask how much memory this process has taken."""
    function, _ = WAYS[which](case, setting.dtypes[0], setting)
    for _ in range(STEPS):
        function()
    return {"peak_gb": machine.peak_memory(setting.device) / GB}


def training(case: str, dtype: str, setting: Setting) -> tuple[Function, Recompute]:
    """A training step, and what it computes twice to stay within the limit."""
    clip, names = setting.clip(dtype), names_of(case)
    method = build_method("cocoop", clip, names)
    images = random_images(clip, setting.batch_size)
    labels = images.new_zeros(setting.batch_size).long()

    def loss() -> Tensor:
        return method.loss(clip, clip.encode_images(images), labels)

    saving, _ = choose_recompute(loss, method, clip, LIMIT)
    recipe = method.recipe(shots=16)
    # the rate of the first epoch: nothing that is measured drifts
    optimizer = build_optimizer(method, replace(recipe, lr=recipe.first_lr))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with applied(clip, saving):
            loss().backward()
        optimizer.step()

    return step, saving


def classifying(case: str, dtype: str, setting: Setting) -> tuple[Function, Recompute]:
    """A frozen classifier's answer."""
    clip = setting.clip(dtype)
    classifier = freeze(build_method("cocoop", clip, names_of(case)), clip)
    images = random_images(clip, setting.batch_size)
    return lambda: classifier.logits(images), Recompute()


WAYS: dict[str, Callable[[str, str, Setting], tuple[Function, Recompute]]] = {
    "training": training,
    "classifying": classifying,
}


def _row(case: str, dtype: str, setting: Setting) -> dict[str, Any]:
    """Seconds and GB of a step, and of as many answers."""
    made = {way: make(case, dtype, setting) for way, make in WAYS.items()}
    functions = {way: function for way, (function, _) in made.items()}
    seconds = medians(alternate(functions, setting.repeats, setting.device))
    saving, texts = made["training"][1], len(names_of(case)) * setting.batch_size
    del made, functions
    peak = {way: in_a_process("benchmarks.cocoop", way, case, dtype, setting) for way in WAYS}
    return {
        "case": case,
        "dtype": dtype,
        "saving": "nothing" if saving == Recompute() else saving.in_words(),
        "dense_gb": estimated_memory(texts, 0, setting.config) / GB,
        "seconds": seconds,
        "peak_gb": peak,
    }


def table(found: Document) -> str:
    """Seconds and GB of a training step, and images/s and GB of a classifier."""
    header = ["computed twice in training", "classes", "computed in", "step (s)", "peak (GB)"]
    header += ["dense fp32, about (GB)", "classifying (images/s)", "peak (GB)"]
    rows = []
    for row in found["rows"]:
        seconds, peak = row["seconds"], row["peak_gb"]
        cells = [row["saving"], document.case_in_words(row["case"]), row["dtype"]]
        cells += [f"{seconds['training']:.2f}", f"{peak['training']:.2f}", f"{row['dense_gb']:.0f}"]
        cells += [f"{found['batch_size'] / seconds['classifying']:.2f}"]
        rows.append([*cells, f"{peak['classifying']:.2f}"])
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
