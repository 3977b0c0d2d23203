"""A classifier that was saved, to be opened and damaged by the tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.saving import DESCRIPTION
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.methods import Method, build_method
from crossprompt.methods.features import Examples
from tests.backbone import NAMES


def train(method: Method, clip: CLIP, items: list[Item]) -> Method:
    """Something that no start value could be mistaken for."""
    method.prepare(clip, Examples(clip, items))
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return method


def classify(
    clip: CLIP, items: list[Item], name: str = "dcp", seed: int = 1, **options: Any
) -> Classifier:
    options = {"length": 4, **options} if name == "dcp" else options
    method = build_method(name, clip, NAMES, seed=seed, **options)
    return freeze(train(method, clip, items), clip, items)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    description = json.loads((folder / DESCRIPTION).read_text("utf-8"))
    change(description)
    (folder / DESCRIPTION).write_text(json.dumps(description), "utf-8")


def retensor(folder: Path, name: str, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
