"""Write the classifiers that every later version must still read.

Run it as ``python -m tests.artifacts.keep``.
What is there is never written again; a form or a layout that is new is added.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.export import export_classifier
from crossprompt.classifier.loading import load
from crossprompt.classifier.saving import CARD
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.inference.base import ImageClassifier
from crossprompt.methods import build_method
from tests.backbone import NAMES, with_blocks, write_items
from tests.clip.random_clip import make_clip
from tests.saved import train

FOLDER = Path(__file__).parent / "v1"
EXPECTED = "expected.json"
"""Beside each: the probabilities of the picture."""
KEPT: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "static-prompts": ("maple", {"length": 2}),
    "static-prompts-dcp": ("dcp", {"length": 2}),
    "static-prompts-dcp-with-texts": ("dcp", {"length": 2}),
    "cache": ("tip_adapter", {}),
    "adapter": ("clip_adapter", {}),
    "blended": ("hicropl", {"length": 2}),
    "conditional": ("cocoop", {"length": 2, "initial_words": ""}),
    "merged": ("clip_lora", {}),
}
"""Folder to method and settings: every form."""
EXPORTED = "static-prompts-dcp.onnx"
"""An exported classifier, beside the folder of the one that it was made of."""


@cache
def kept_clip() -> CLIP:
    """The backbone, whose weights numpy promises to be the same in every version."""
    clip = make_clip(with_blocks(2))
    numbers = np.random.RandomState(7)
    with torch.no_grad():
        for name, parameter in clip.named_parameters():
            drawn = torch.from_numpy(numbers.uniform(-1, 1, tuple(parameter.shape))).float()
            if name == "logit_scale":
                parameter.fill_(3.0)
            elif parameter.ndim == 1 or "positions" in name or "words" in name:
                center = 1.0 if "norm" in name and name.endswith("weight") else 0.0
                parameter.copy_(0.5 * drawn + center)
            else:
                parameter.copy_(1.7 * drawn * parameter[0].numel() ** -0.5)
    clip.name, clip.weights_hash = "kept", "of the kept backbone"
    return clip


def write_picture(path: Path) -> Path:
    """A picture of exactly the size that the backbone takes."""
    side = kept_clip().preprocess.side
    row, column, channel = np.indices((side, side, 3))
    pixels = (row * 7 + column * 5 + (channel + 1) * row * column) % 256
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def probabilities(classifier: ImageClassifier, picture: Path) -> dict[str, float]:
    (answer,) = classifier.predict([picture], top_k=len(classifier.class_names))
    return dict(answer.top)


def make(items: list[Item], name: str, options: Mapping[str, Any]) -> Classifier:
    """With learned numbers of few digits, which take git a fifth of the room."""
    method = train(build_method(name, kept_clip(), NAMES, **options), kept_clip(), items)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.copy_((64 * parameter).round() / 64)
    about = {"metrics": {"test accuracy": 0.5}}
    return freeze(method, kept_clip(), items, information=about)


def keep(folder: Path) -> list[str]:
    """Write what is not there yet, and tell what that was."""
    written = [name for name in KEPT if not (folder / name).exists()]
    with TemporaryDirectory() as place:
        items = write_items(Path(place) / "images", [0, 1, 2, 3])
        picture = write_picture(Path(place) / "picture.png")
        for name in written:
            classifier = make(items, *KEPT[name])
            classifier.save(folder / name)
            (folder / name / CARD).unlink()
            expected = json.dumps(probabilities(classifier, picture), indent=2) + "\n"
            (folder / name / EXPECTED).write_text(expected, "utf-8")
    if not (folder / EXPORTED).exists():
        classifier = load(folder / Path(EXPORTED).stem, kept_clip())
        export_classifier(classifier, folder / EXPORTED, weights="int8")  # a quarter of the room
        written.append(EXPORTED)
    return written


if __name__ == "__main__":
    print("written:", ", ".join(keep(FOLDER)) or "nothing, all are there")
