"""Images/s and memory of ``crossprompt predict`` on many small images.

    python -m benchmarks.bulk --images 100000
    python -m benchmarks.bulk --images 20000 --onnx --source folder

Writes pictures of 32 x 32 into tar shards or folders. The command classifies them in a separate
process, with a zero-shot classifier on the embedded model. The memory of that process is sampled
while it runs; it should stay at that of the first tenth, with PyTorch and the weights.
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
import torch
from PIL import Image

from benchmarks import document
from benchmarks.document import Document, Row
from benchmarks.workload import Setting
from crossprompt import build_method, freeze, load_clip

CLASSES = ("mammal", "bird", "fruit", "vehicle", "tool", "flower", "face", "flag")
SIDE = 32
PER_SHARD = 1000
"""Pictures in a shard, or in a folder."""
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Parts of the images after which memory is reported."""
SECONDS = 0.2
"""Seconds between two samples of the memory."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.new_parser(__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="in all (100000)")
    parser.add_argument("--source", choices=("tar", "folder"), default="tar")
    parser.add_argument(
        "--onnx", action="store_true", help="the exported classifier, without torch"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        row = measure(Path(folder), options)
    setting = Setting("tiny", torch.device("cpu"), ("fp32",), 64, 1)
    document.show(document.document("bulk", setting, [row]), table, options.json)


def measure(folder: Path, options: argparse.Namespace) -> Row:
    """Images/s, and the memory after each of ``SHARES``."""
    classifier = save_classifier(folder / "classifier", options.onnx)
    document.report_progress(f"bulk: writing {options.images} pictures")
    write = write_shards if options.source == "tar" else write_folders
    images, output = write(folder / "images", options.images), folder / "predictions.csv"
    document.report_progress("bulk: classifying them")
    command = [sys.executable, "-m", "crossprompt", "predict", str(classifier), *images]
    begun = time.perf_counter()
    with subprocess.Popen([*command, "--output", str(output)]) as process:
        samples = list(watch(psutil.Process(process.pid), output, begun))
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}, expected 0")
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != options.images or any(row["error"] for row in rows):
        raise RuntimeError(f"{len(rows)} rows, expected {options.images} without an error")
    _, seconds, processor, _ = samples[-1]
    return {
        "images": options.images,
        "source": options.source,
        "classifier": "onnx" if options.onnx else "fp32",
        "images_per_second": options.images / seconds,
        "images_per_processor_second": options.images / processor,
        "resident_mb": {share: _at(samples, share * options.images)[3] / 1e6 for share in SHARES},
        "peak_mb": max(sample[3] for sample in samples) / 1e6,
    }


Sample = tuple[int, float, float, int]
"""Rows on the disk, seconds, CPU seconds, and bytes in memory."""


def watch(process: psutil.Process, output: Path, begun: float) -> Iterator[Sample]:
    """Sample the memory of a process until it ends."""
    progress = output.with_name(f"{output.name}.partial") / "progress.json"
    rows = 0
    while True:
        try:
            times, memory = process.cpu_times(), process.memory_info().rss
        except psutil.NoSuchProcess:
            return
        if process.status() == psutil.STATUS_ZOMBIE or memory == 0:
            return
        with suppress(OSError, ValueError):  # not begun, or finished
            rows = json.loads(progress.read_text("utf-8"))["mark"]["rows"]
        yield rows, time.perf_counter() - begun, times.user + times.system, memory
        time.sleep(SECONDS)


def _at(samples: Sequence[Sample], rows: float) -> Sample:
    """First sample with that many rows, or the last of all."""
    return next((sample for sample in samples if sample[0] >= rows), samples[-1])


def save_classifier(path: Path, onnx: bool) -> Path:
    """Save a zero-shot classifier on the embedded model."""
    clip = load_clip("tiny", dtype=torch.float32)
    classifier = freeze(build_method("zero_shot", clip, CLASSES), clip)
    if not onnx:
        return classifier.save(path)
    from crossprompt.classifier.export import export_classifier

    exported = path.with_suffix(".onnx")
    export_classifier(classifier, exported)
    return exported


def write_shards(folder: Path, count: int) -> list[str]:
    """Write tar files of ``PER_SHARD`` pictures."""
    folder.mkdir()
    shards = []
    for first in range(0, count, PER_SHARD):
        shards.append(str(folder / f"{first // PER_SHARD:05d}.tar"))
        with tarfile.open(shards[-1], "w") as archive:
            for number in range(first, min(first + PER_SHARD, count)):
                member = tarfile.TarInfo(f"{number:08d}.png")
                content = picture(number)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return shards


def write_folders(folder: Path, count: int) -> list[str]:
    """Write folders of ``PER_SHARD`` pictures."""
    for number in range(count):
        path = folder / f"{number // PER_SHARD:05d}" / f"{number:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return [str(folder)]


def picture(number: int) -> bytes:
    """PNG of coarse noise, different for every number."""
    noise = Image.frombytes("RGB", (4, 4), Random(number).randbytes(48))
    file = io.BytesIO()
    noise.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(file, "png")
    return file.getvalue()


def table(found: Document) -> str:
    """Images/s, and MB after each share of the images."""
    shares = [f"MB at {share:.0%}" for share in SHARES]
    header = ["images", "source", "classifier", "images/s", "images per CPU second", *shares]
    rows = []
    for row in found["rows"]:
        cells = [f"{row['images']:,}", row["source"], row["classifier"]]
        cells += [f"{row[f'images_per_{unit}']:.0f}" for unit in ("second", "processor_second")]
        resident = [f"{value:.0f}" for value in row["resident_mb"].values()]
        rows.append([*cells, *resident, f"{row['peak_mb']:.0f}"])
    return document.markdown([*header, "peak (MB)"], rows)


if __name__ == "__main__":
    main()
