"""Images/s of a frozen DCP classifier, next to the image tower alone and to dense evaluation.

    python -m benchmarks.inference --classes 100 --dtypes fp32 bf16 --batch-size 16 --repeats 5

The image tower alone is CLIP's, without prompt tokens. The dense form, in fp32, encodes the texts
for every batch, as the authors do. Text encodings after freezing are counted.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks import document
from benchmarks.counting import count_work
from benchmarks.dense import Dense
from benchmarks.document import Document, Row
from benchmarks.pictures import write_pictures
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import Setting, Workload, names_of, random_images
from crossprompt import freeze
from crossprompt.classifier.classifier import Classifier
from crossprompt.data.dataset import Item

CALIBRATION = 8
"""Pictures on which the prompts are calibrated."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("100",), batch_size=16)
    document.measure_cases("inference", parser.parse_args(arguments), measure, table)


@torch.no_grad()
def measure(case: str, setting: Setting) -> list[Row]:
    """Images/s of every function, and the text encodings of one call."""
    functions: dict[str, Function] = {}
    encodings = {}
    workload = setting.workload(case, "fp32")
    dense = Dense(workload.clip, workload.method)
    functions["dense fp32"] = partial(dense.logits, workload.images)
    for dtype in setting.dtypes:
        classifier = frozen_classifier(setting.workload(case, dtype))
        images = random_images(classifier.clip, setting.batch_size)
        functions[f"frozen {dtype}"] = partial(classifier.logits, images)
        functions[f"tower {dtype}"] = partial(classifier.clip.encode_images, images)
        with count_work(classifier.clip) as work:
            classifier.logits(images)
        encodings[dtype] = work.text_encodings
    seconds = alternate(functions, setting.repeats, setting.device)
    rates = {name: setting.batch_size / value for name, value in medians(seconds).items()}
    row = {"case": case, "classes": len(names_of(case)), "images_per_second": rates}
    return [{**row, "text_encodings_after_freezing": encodings, "all_seconds": seconds}]


def frozen_classifier(workload: Workload) -> Classifier:
    """The workload's method, calibrated on a few pictures."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), CALIBRATION)
        return freeze(workload.method, workload.clip, [Item(path, 0) for path in paths])


def table(found: Document) -> str:
    """Images/s, speed-up over the dense form, and time relative to the image tower alone."""
    names = list(found["rows"][0]["images_per_second"])
    dtypes = [name.removeprefix("frozen ") for name in names if name.startswith("frozen")]
    header = ["classes", "dense fp32 (images/s)"]
    for dtype in dtypes:
        header += [f"frozen {dtype} (images/s)", "speed-up", "image tower alone (images/s)"]
        header += ["x the tower's time", "text encodings"]
    rows = []
    for row in found["rows"]:
        rates = row["images_per_second"]
        cells = [document.label_case(row["case"]), f"{rates['dense fp32']:.2f}"]
        for dtype in dtypes:
            frozen, tower = rates[f"frozen {dtype}"], rates[f"tower {dtype}"]
            cells += [f"{frozen:.2f}", f"{frozen / rates['dense fp32']:.1f}", f"{tower:.2f}"]
            cells += [f"{tower / frozen:.2f}", str(row["text_encodings_after_freezing"][dtype])]
        rows.append(cells)
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
