"""Images/s of reading JPEG files, next to the image tower that uses them.

    python -m benchmarks.data_loading --pictures 256 --threads 1 2 --repeats 5
    python -m benchmarks.data_loading --pictures 32 --size 4000 3000

The plain loop opens, converts and transforms one file after the other, as most scripts do.
Processes are those of PyTorch's ``DataLoader``, which are started again for every pass.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import joblib
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks import document
from benchmarks.document import Document, Row
from benchmarks.pictures import write_pictures
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import Setting, random_images
from crossprompt.clip.preprocess import Preprocess
from crossprompt.data import images as ahead
from crossprompt.methods import Recipe
from crossprompt.methods import features as loading
from crossprompt.utils.device import has_fast_bf16

BATCH = 16
SMALLEST_CROP = Recipe.smallest_crop
PREPROCESS = Preprocess(side=224, resize=224)
Transform = Callable[[Image.Image], torch.Tensor]
TRANSFORMS: dict[str, Transform] = {
    "test": PREPROCESS,
    "training": lambda image: PREPROCESS.train(image, Random(0)),
}
"""The whole picture, or a random crop."""


def main(arguments: Sequence[str] | None = None) -> None:
    cores = joblib.cpu_count()  # available to this process
    parser = document.build_parser(__doc__)
    document.add_repeats(parser)
    parser.add_argument("--pictures", type=int, default=256, help="files that are read (256)")
    parser.add_argument("--size", type=int, nargs=2, default=[500, 375], help="width and height")
    threads = list(range(1, cores + 1))
    parser.add_argument("--threads", type=int, nargs="+", default=threads, help="1 to all cores")
    dtypes = ["bf16" if has_fast_bf16(torch.device("cpu")) else "fp32"]
    parser.add_argument("--dtypes", nargs="+", default=dtypes, help="of the image tower")
    parser.set_defaults(batch_size=BATCH)
    options = parser.parse_args(arguments)
    setting = document.setting_of(options)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), options.pictures, *options.size)
        size = sum(path.stat().st_size for path in paths) / len(paths)
        rows = measure(paths, options.threads, setting)
    about = {"pictures": len(paths), "size": options.size, "bytes": round(size)}
    found = document.document("data_loading", setting, rows, **about)
    document.show(found, table, options.json)


def measure(paths: Sequence[Path], threads: Sequence[int], setting: Setting) -> list[Row]:
    """Images/s of every reader, and of the image tower in every dtype."""
    functions: dict[str, Function] = {}
    for name, transform in TRANSFORMS.items():
        functions[f"plain loop, {name}"] = partial(read_plainly, paths, transform)
        for count in threads:
            functions[f"{count} threads, {name}"] = partial(read, paths, name, count)
        for count in threads:
            pictures = Pictures(paths, transform)
            functions[f"{count} processes, {name}"] = partial(read_in_processes, pictures, count)
    for dtype in setting.dtypes:
        clip = setting.clip(dtype)
        encode = torch.no_grad()(clip.encode_images)
        functions[f"tower, {dtype}"] = partial(encode, random_images(clip, BATCH))
    seconds = medians(alternate(functions, setting.repeats, setting.device))
    counts = {name: BATCH if name.startswith("tower") else len(paths) for name in seconds}
    return [
        {"what": name, "images_per_second": counts[name] / value} for name, value in seconds.items()
    ]


def read_plainly(paths: Sequence[Path], transform: Transform) -> None:
    """Read one picture after the other."""
    for path in paths:
        with Image.open(path) as image:
            transform(image.convert("RGB"))


def read(paths: Sequence[Path], name: str, threads: int) -> None:
    """Read as training and prediction do."""
    enough = PREPROCESS.enough if name == "test" else PREPROCESS.enough_for_crops(SMALLEST_CROP)
    with use_threads(threads):
        for _ in loading.read_batches(paths, TRANSFORMS[name], BATCH, enough=enough):
            pass


@dataclass(frozen=True)
class Pictures(Dataset[torch.Tensor]):
    """Pictures of the plain loop, for worker processes."""

    paths: Sequence[Path]
    transform: Transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        with Image.open(self.paths[number]) as image:
            return self.transform(image.convert("RGB"))


def read_in_processes(pictures: Pictures, processes: int) -> None:
    """Read as most training scripts do."""
    for _ in DataLoader(pictures, BATCH, num_workers=processes):
        pass


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Set the number of threads with which ``crossprompt`` reads."""
    usual, ahead.WORKERS = ahead.WORKERS, threads
    try:
        yield
    finally:
        ahead.WORKERS = usual


def table(found: Document) -> str:
    """Images/s of reading with each transform, and the ratio to the image tower."""
    rates = {row["what"]: row["images_per_second"] for row in found["rows"]}
    towers = {name: rate for name, rate in rates.items() if name.startswith("tower")}
    fastest = max(towers.values())
    header = ["reading", "test transform (images/s)", "x the image tower's"]
    header += ["training transform (images/s)", "x the image tower's"]
    readers = dict.fromkeys(name.rsplit(", ", 1)[0] for name in rates if name not in towers)
    rows = []
    for reader in readers:
        cells = [reader.replace("1 threads", "1 thread").replace("1 processes", "1 process")]
        for transform in TRANSFORMS:
            rate = rates[f"{reader}, {transform}"]
            cells += [f"{rate:.0f}", f"{rate / fastest:.1f}"]
        rows.append(cells)
    lines = [f"The image {name} alone: {rate:.1f} images/s." for name, rate in towers.items()]
    return "\n\n".join([document.markdown(header, rows), " ".join(lines)])


if __name__ == "__main__":
    main()
