"""Images that show a number, the classifier that reads it, and the places they may lie in."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy
from PIL import Image

from crossprompt.inference.base import Array, ImageClassifier, Input
from crossprompt.inference.bulk.output import PartialFile
from crossprompt.inference.bulk.run import Engine, predict_to_file


def picture(number: int) -> bytes:
    """A PNG of one color, which is the number."""
    file = io.BytesIO()
    Image.new("RGB", (2, 2), (number // 256, number % 256, 7)).save(file, "png")
    return file.getvalue()


class Reader(ImageClassifier):
    """Its class is the number that an image shows."""

    class_names = tuple(str(number) for number in range(512))
    enough = 1
    fingerprint = "reader"

    def prepare(self, image: Image.Image) -> Array:
        red, green, _ = image.getpixel((0, 0))
        return numpy.array([256 * red + green], numpy.float32)

    def probabilities(self, images: Array) -> Array:
        probabilities = numpy.zeros((len(images), len(self.class_names)), numpy.float32)
        # the share depends on the batch, which must be the same however often a run was stopped
        probabilities[range(len(images)), images[:, 0].astype(int)] = 1 / (1 + images.sum())
        return probabilities


def local() -> Engine:
    return partial(Reader().predict_batches, top_k=1)


def write_files(folder: Path, numbers: Sequence[int]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in numbers]
    for path, number in zip(paths, numbers, strict=True):
        path.write_bytes(picture(number))
    return [str(path) for path in paths]


def write_tar(path: Path, members: Mapping[str, bytes]) -> str:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def predict(
    inputs: Sequence[Input],
    output: Path,
    engine: Engine | None = None,
    restart: bool = False,
    **settings: str,
) -> tuple[int, list[str]]:
    """Number of images that could not be read, and the messages."""
    file = PartialFile(output, output.suffix[1:], 1, settings)
    said: list[str] = []
    failed = predict_to_file(inputs, engine or local(), file, 4, restart=restart, say=said.append)
    return failed, said
