"""Small image files, each of its own color, so that no two are copies unless a test wants them."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from crossprompt.data import Dataset, Item, Split

WriteImages = Callable[[dict[str, int]], Path]


@pytest.fixture
def write_images(tmp_path: Path) -> WriteImages:
    """Write so many images into each folder under ``photos`` and return that folder."""
    colors = count(1)

    def write(images: dict[str, int]) -> Path:
        root = tmp_path / "photos"
        for folder, number in images.items():
            (root / folder).mkdir(parents=True)
            for position in range(number):
                color = next(colors)
                image = Image.new("RGB", (4, 4), (color % 256, color // 256, 7))
                image.save(root / folder / f"{position}.png")
        return root

    return write


@pytest.fixture
def listed() -> Dataset:
    """The list of protocols.md: 10 classes of 40 training and 10 validation images, no files."""

    def split(first: int, stop: int) -> Split:
        return Split(
            tuple(
                Item(Path(f"class_{label:02d}/img_{image:03d}.jpg"), label)
                for label in range(10)
                for image in range(first, stop)
            )
        )

    names = tuple(f"class {label}" for label in range(10))
    return Dataset("listed", names, split(0, 40), split(40, 50), split(50, 53))
