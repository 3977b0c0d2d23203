"""Images/s of a frozen DCP classifier, next to the bare image tower and the dense evaluation.

    python -m benchmarks.inference --classes 100 --dtypes fp32 bf16 --batch-size 16 --repeats 5

The bare tower is CLIP's own, without prompt tokens. The dense form, in fp32, encodes the texts for
every batch, as the authors do. How often ours encodes text after freezing is counted.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import document
from benchmarks.counting import count_work
from benchmarks.dense import Dense
from benchmarks.document import Document
from benchmarks.pictures import write_pictures
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import Workload, names_of, random_clip, random_images
from crossprompt import freeze
from crossprompt.classifier import Classifier
from crossprompt.data.items import Item
from crossprompt.precision import DTYPES

CALIBRATION = 8
"""Pictures that the prompts are frozen on."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = document.build_parser(__doc__)
    document.add_cases(parser, ("100",))
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (5)")
    parser.add_argument("--batch-size", type=int, default=16, help="images at a time (16)")
    chosen = parser.parse_args(arguments)
    device = document.device_of(chosen)
    rows = []
    for case in chosen.classes:
        document.say(f"inference: {case} classes")
        rows.append(measure(case, chosen.dtypes, chosen.batch_size, chosen.repeats, device))
    settings = {"repeats": chosen.repeats, "batch_size": chosen.batch_size}
    found = document.document("inference", device, rows, **settings)
    document.show(found, table, chosen.json)


@torch.no_grad()
def measure(
    case: str, dtypes: Sequence[str], batch: int, repeats: int, device: torch.device
) -> dict[str, Any]:
    """A row of the table: images/s of every function, and the text encodings of all calls."""
    names = names_of(case)
    functions: dict[str, Function] = {}
    encodings = {}
    dense = Workload.of(random_clip(torch.float32, device), names, batch)
    dense_form = Dense(dense.clip, dense.method)
    functions["dense fp32"] = partial(dense_form.logits, dense.images)
    for dtype in dtypes:
        classifier = frozen_classifier(Workload.of(random_clip(DTYPES[dtype], device), names))
        images = random_images(classifier.clip, batch)
        functions[f"frozen {dtype}"] = partial(classifier.logits, images)
        functions[f"tower {dtype}"] = partial(classifier.clip.encode_images, images)
        with count_work(classifier.clip) as work:
            classifier.logits(images)
        encodings[dtype] = work.text_encodings
    seconds = alternate(functions, repeats, device)
    rates = {name: batch / value for name, value in medians(seconds).items()}
    row = {"case": case, "classes": len(names), "images_per_second": rates}
    return {**row, "text_encodings_after_freezing": encodings, "all_seconds": seconds}


def frozen_classifier(workload: Workload) -> Classifier:
    """The workload's method, frozen on a few pictures."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), CALIBRATION)
        return freeze(workload.method, workload.clip, [Item(path, 0) for path in paths])


def table(found: Document) -> str:
    """Images/s; how many times faster than the dense form; how close to the bare tower."""
    names = list(found["rows"][0]["images_per_second"])
    dtypes = [name.removeprefix("frozen ") for name in names if name.startswith("frozen")]
    header = ["classes", "dense fp32 (images/s)"]
    for dtype in dtypes:
        header += [f"frozen {dtype} (images/s)", "x faster", "bare tower (images/s)"]
        header += ["x its time", "text encodings"]
    rows = []
    for row in found["rows"]:
        rates = row["images_per_second"]
        cells = [document.case_in_words(row["case"]), f"{rates['dense fp32']:.2f}"]
        for dtype in dtypes:
            frozen, tower = rates[f"frozen {dtype}"], rates[f"tower {dtype}"]
            cells += [f"{frozen:.2f}", f"{frozen / rates['dense fp32']:.1f}", f"{tower:.2f}"]
            cells += [f"{tower / frozen:.2f}", str(row["text_encodings_after_freezing"][dtype])]
        rows.append(cells)
    return document.markdown(header, rows)


if __name__ == "__main__":
    main()
