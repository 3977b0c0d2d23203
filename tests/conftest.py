"""Fixtures for tests of whole jobs: a folder of photos and a backbone that a job can load.

Small towers are fastest on one thread, and several workers (``-n auto``) share the cores.
"""

import os
from pathlib import Path

import pytest
import torch

from crossprompt.clip.load import save_clip
from tests.backbone import even_clip, write_items

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

CLASSES = ("cat", "hot_air_balloon", "yorkshire_terrier")


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The small random CLIP as a folder that ``--backbone`` takes."""
    folder = tmp_path_factory.mktemp("backbone")
    save_clip(even_clip(), folder)
    return str(folder)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three class folders, with 10 images each, 6 of which become training images."""
    return write_photos(tmp_path_factory.mktemp("data") / "photos")


def write_photos(folder: Path, classes: tuple[str, ...] = CLASSES, images: int = 10) -> Path:
    """Class folders whose images all differ."""
    items = write_items(folder / "all", [0] * images * len(classes))
    for position, item in enumerate(items):
        name = classes[position // images]
        (folder / name).mkdir(exist_ok=True)
        item.path.rename(folder / name / f"{position % images}.png")
    (folder / "all").rmdir()
    return folder
