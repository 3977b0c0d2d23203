"""Data sets and backbones of a grid, loaded once in every process."""

import os
from functools import lru_cache
from pathlib import Path

import torch

from crossprompt.clip.load import load_clip
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset
from crossprompt.data.registry import DATASETS, ROOT_VARIABLE, load_dataset

JOINT = "+"
"""Joins data sets that are trained together, as in ``caltech101+dtd``."""


def root_for(root: str | None) -> str | None:
    """The absolute folder of the data sets: ``root``, or else that in ``CROSSPROMPT_DATA``."""
    root = root or os.environ.get(ROOT_VARIABLE) or None
    return None if root is None else str(Path(root).absolute())


@lru_cache(maxsize=32)
def load_data(name: str, root: str | None) -> Dataset:
    """A data set by name, also with one of its domains as in ``pacs:photo``; or a folder or a CSV
    file, which have no ``root``. Raises what ``load_dataset`` does."""
    entry = DATASETS.get(name) or DATASETS.get(name.partition(":")[0])
    return load_dataset(name, root if entry is not None and entry.uses_variable else None)


def parts_of(name: str) -> tuple[str, ...]:
    """The data sets of a joint source; else the name alone, also that of a path with a ``+``."""
    parts = tuple(name.split(JOINT))
    alone = name in DATASETS or not all(parts) or Path(name).exists()
    return (name,) if alone else parts


def domains_of(name: str) -> list[str]:
    """The domains of a data set that has several, as in ``pacs:photo``; else the name alone."""
    return [domain for domain in DATASETS if domain.startswith(f"{name}:")] or [name]


@lru_cache(maxsize=2)
def load_backbone(name: str, device: str, dtype: str) -> CLIP:
    """A frozen CLIP, see ``load_clip``."""
    return load_clip(name, device=torch.device(device), dtype=dtype)
