"""CoCoOp on ViT-B/16, where every image has a separate text of every class.

    python -m benchmarks.cocoop --classes 10 100 1000 --dtypes fp32 bf16 --batch-size 8
    python -m benchmarks.cocoop --only classifying --classes 100 --dtypes bf16

A training step may take 4 GB; activations are recomputed to stay within that. Peak memory is that
of a separate process, with Python, PyTorch and all weights; on CUDA, the memory allocated on the
device. That of the dense form, 77 tokens for every image and class in fp32, is estimated.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from benchmarks import document
from benchmarks.dense import estimated_memory
from benchmarks.document import Document, Row
from benchmarks.machine import GB
from benchmarks.memory import ONLY, peak_in_process, print_peak
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import Setting, names_of, random_images
from crossprompt.classifier.classifier import freeze
from crossprompt.methods import build_method
from crossprompt.training.memory import Recompute, applied, choose_recompute
from crossprompt.training.train import build_optimizer

LIMIT = 4 * GB
"""Memory limit of a training step."""
BATCH = 8
"""Images at a time, where the authors take one."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("10", "100", "1000"), batch_size=BATCH)
    parser.add_argument("--only", choices=list(WORKLOADS), help=ONLY)
    options = parser.parse_args(arguments)
    if not options.only:
        document.measure_cases("cocoop", options, measure, table)
        return
    setting = document.setting_of(options)
    print_peak(WORKLOADS[options.only](options.classes[0], setting.dtypes[0], setting)[0], setting)


def training(case: str, dtype: str, setting: Setting) -> tuple[Function, Recompute]:
    """A training step, and the activations that it recomputes to stay within the limit."""
    clip, names = setting.clip(dtype), names_of(case)
    method = build_method("cocoop", clip, names)
    images = random_images(clip, setting.batch_size)
    labels = images.new_zeros(setting.batch_size).long()

    def loss() -> Tensor:
        return method.loss(clip, clip.encode_images(images), labels)

    saving, _ = choose_recompute(loss, method, clip, LIMIT)
    recipe = method.recipe(shots=16)
    # the learning rate of the first epoch, so that the measured work does not drift
    optimizer = build_optimizer(method, replace(recipe, lr=recipe.first_lr))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with applied(clip, saving):
            loss().backward()
        optimizer.step()

    return step, saving


def classifying(case: str, dtype: str, setting: Setting) -> tuple[Function, Recompute]:
    """Prediction by a frozen classifier."""
    clip = setting.clip(dtype)
    classifier = freeze(build_method("cocoop", clip, names_of(case)), clip)
    images = random_images(clip, setting.batch_size)
    return lambda: classifier.logits(images), Recompute()


WORKLOADS: dict[str, Callable[[str, str, Setting], tuple[Function, Recompute]]] = {
    "training": training,
    "classifying": classifying,
}


def measure(case: str, setting: Setting) -> Iterator[Row]:
    """Yield a row for every dtype."""
    texts = len(names_of(case)) * setting.batch_size
    for dtype in setting.dtypes:
        made = {name: make(case, dtype, setting) for name, make in WORKLOADS.items()}
        functions = {name: function for name, (function, _) in made.items()}
        seconds = medians(alternate(functions, setting.repeats, setting.device))
        saving = made["training"][1]
        del made, functions
        yield {
            "case": case,
            "dtype": dtype,
            "saving": "nothing" if saving == Recompute() else saving.in_words(),
            "dense_gb": estimated_memory(texts, 0, setting.config) / GB,
            "seconds": seconds,
            "peak_gb": {
                name: peak_in_process("benchmarks.cocoop", name, case, dtype, setting)
                for name in WORKLOADS
            },
        }


def table(found: Document) -> str:
    """Seconds and GB of a training step, and images/s and GB of a frozen classifier."""
    header = ["recomputed in training", "classes", "dtype", "step (s)", "peak (GB)"]
    header += ["dense fp32, estimated (GB)", "inference (images/s)", "peak (GB)"]
    rows = []
    for row in found["rows"]:
        seconds, peak = row["seconds"], row["peak_gb"]
        cells = [row["saving"], document.label_case(row["case"]), row["dtype"]]
        cells += [f"{seconds['training']:.2f}", f"{peak['training']:.2f}", f"{row['dense_gb']:.0f}"]
        cells += [f"{found['batch_size'] / seconds['classifying']:.2f}"]
        rows.append([*cells, f"{peak['classifying']:.2f}"])
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
