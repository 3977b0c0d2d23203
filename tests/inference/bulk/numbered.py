"""Images that show a number, the classifier that reads it, and the places they may lie in."""

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from crossprompt.data.image_refs import Input
from crossprompt.inference.base import Images, Prediction, Top, predict_images
from crossprompt.inference.bulk.output import PartialFile
from crossprompt.inference.bulk.run import Engine, Local, predict_to_file


def picture(number: int) -> bytes:
    """A PNG of one color, which is the number."""
    file = io.BytesIO()
    Image.new("RGB", (2, 2), (number // 256, number % 256, 7)).save(file, "png")
    return file.getvalue()


class Reader:
    """Its class is the number that an image shows."""

    class_names = ("0", "1")
    fingerprint = "reader"

    def predict_stream(
        self, images: Images, top_k: int = 1, batch_size: int = 4
    ) -> Iterator[Prediction]:
        def look(image: Image.Image) -> int:
            red, green, _ = image.getpixel((0, 0))
            return 256 * red + green

        def score(numbers: list[int]) -> list[Top]:
            # the share tells of the batch, which must be the same however often a run was stopped
            share = 1 / (1 + sum(numbers))
            return [[(str(number), share)] * top_k for number in numbers]

        return predict_images(images, look, 1, score, batch_size)


def local(batch_size: int = 4) -> Engine:
    return Local(Reader(), 1, batch_size)


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
    """How many images could not be read, and what was said."""
    file = PartialFile(output, output.suffix[1:], 1, settings)
    said: list[str] = []
    failed = predict_to_file(inputs, engine or local(), file, 4, restart=restart, say=said.append)
    return failed, said
