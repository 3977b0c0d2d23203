"""Exports a classifier to one file, all or nothing: the file must agree with the classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from crossprompt.classifier.classifier import BATCH, Classifier
from crossprompt.classifier.export.check import (
    Agreement,
    Score,
    compare,
    measure_speed,
    random_batches,
    require_agreement,
)
from crossprompt.classifier.export.onnx import PACKAGES, Weights, write_onnx
from crossprompt.classifier.export.program import Scorer, trace
from crossprompt.classifier.saving import describe
from crossprompt.data.dataset import Item
from crossprompt.data.loader import read_batches
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import EXTRA, exported_text
from crossprompt.inference.onnx import load_onnx
from crossprompt.utils.files import atomic_write, ensure_writable
from crossprompt.utils.optional import require_extra

__all__ = ["ENDINGS", "Agreement", "Exported", "Form", "export_classifier", "measure_speed"]

Form = Literal["onnx", "torch"]
ENDINGS: dict[Form, str] = {"onnx": ".onnx", "torch": ".pt2"}


@dataclass(frozen=True)
class Exported:
    """An exported file, and its agreement with the classifier."""

    path: Path
    form: Form
    weights: Weights
    size: int
    """Bytes of the file."""
    weights_size: int
    """Bytes of its constants in fp32."""
    noise: Agreement
    """Agreement on random images."""
    pictures: Agreement | None
    """Agreement on the given images."""


def export_classifier(
    classifier: Classifier,
    path: Path,
    *,
    form: Form = "onnx",
    weights: Weights = "fp32",
    pictures: Sequence[Item] = (),
    step: Callable[[str], object] = lambda _: None,
) -> Exported:
    """Write a classifier as one file that takes preprocessed images and gives probabilities.

    Args:
        classifier: opened on the CPU in fp32.
        path: the file; an earlier one is replaced if the new one agrees with the classifier.
        form: an ONNX model, or a program of ``torch.export``.
        weights: type in which they are stored; computation is always in fp32.
        pictures: images on which it must agree, beside random ones.
        step: called with a description of each step.

    Raises:
        RequestError: the classifier cannot be exported, a package is missing, the file would be
            too large, or nothing can be written there.
        JobError: the written file does not agree with the classifier.
    """
    if form == "torch" and weights != "fp32":
        raise RequestError(f"a torch program has fp32 weights; --weights {weights} is for ONNX")
    if path.is_dir():
        raise RequestError(f"{path} is a folder; give a file to write")
    if form == "onnx":
        require_extra("export", PACKAGES, "exporting to ONNX")
    ensure_writable(path.parent)
    step("Tracing the classifier")
    program = trace(classifier)
    about = {**describe(classifier), **classifier.information}
    about.pop("learned_from", None)  # hashes of the user's images
    description = exported_text(about, classifier.clip.preprocess, weights)
    checked: list[tuple[Agreement, Agreement | None]] = []

    def write_and_check(partial: Path) -> None:
        step(f"Writing {path}")
        if form == "onnx":
            write_onnx(program, partial, weights, description)
        else:
            with partial.open("wb") as file:
                torch.export.save(program, file, extra_files={EXTRA: description})
        step("Comparing its predictions with the classifier's")
        checked.append(_compare(open_exported(partial, form), classifier, weights, pictures))

    atomic_write(path, write_and_check)
    tensors = [*program.state_dict.values(), *program.constants.values()]
    size = sum(x.nbytes for x in tensors if isinstance(x, torch.Tensor))
    return Exported(path, form, weights, path.stat().st_size, size, *checked[0])


def open_exported(path: Path, form: Form, threads: int = 0) -> Score:
    """Open an exported file as a function of preprocessed images.

    Args:
        path: the file.
        form: ONNX model or torch program.
        threads: of ONNX Runtime; 0 for as many as there are.
    """
    if form == "torch":
        with path.open("rb") as file:  # by name, torch would require the ending
            return torch.no_grad()(torch.export.load(file).module())
    classifier = load_onnx(path, "cpu", threads)
    return lambda images: torch.from_numpy(classifier.probabilities(images.numpy()))


def _compare(
    found: Score, classifier: Classifier, weights: Weights, pictures: Sequence[Item]
) -> tuple[Agreement, Agreement | None]:
    """Agreement on random images, and on pictures if there are any; ``JobError`` if too low."""
    expected, transform = torch.no_grad()(Scorer(classifier).eval()), classifier.clip.preprocess
    noise = compare(expected, found, random_batches(transform.side))
    require_agreement(noise, weights, "random images")
    if not pictures:
        return noise, None
    paths = [item.path for item in pictures]
    batches = read_batches(paths, transform, BATCH, enough=transform.enough)
    on_pictures = compare(expected, found, (batch.images for batch in batches))
    require_agreement(on_pictures, weights, "pictures")
    return noise, on_pictures
