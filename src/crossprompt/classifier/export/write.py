"""Write an exported classifier, all or nothing: it must agree with its original."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.export import ExportedProgram

from crossprompt.classifier.classifier import BATCH, Classifier
from crossprompt.classifier.export.check import Agreement, Score, compare, noise, require_agreement
from crossprompt.classifier.export.onnx import PACKAGES, Weights, write_onnx
from crossprompt.classifier.export.program import scorer_of, trace
from crossprompt.classifier.saving import describe
from crossprompt.data.dataset import Item
from crossprompt.data.loader import read_batches
from crossprompt.errors import RequestError
from crossprompt.inference.metadata import EXTRA, exported_text
from crossprompt.inference.onnx import load_onnx
from crossprompt.utils.files import atomic_write, ensure_writable
from crossprompt.utils.optional import require_extra

Form = Literal["onnx", "torch"]

ENDINGS: dict[Form, str] = {"onnx": ".onnx", "torch": ".pt2"}
"""Of the files."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how well it agrees with the classifier it was made of."""

    path: Path
    """The file."""
    form: Form
    """What it is."""
    weights: Weights
    """How they are stored."""
    size: int
    """Of the file, in bytes."""
    weights_size: int
    """Of what it computes with, in bytes in fp32."""
    noise: Agreement
    """On random images."""
    pictures: Agreement | None
    """On the pictures that were given."""


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
        weights: how they are stored; always computed with in fp32.
        pictures: on which it must agree, beside random images.
        step: called with what is done next, in words.

    Raises:
        RequestError: the classifier cannot be exported, a package is missing, the file would be
            too large, or nothing can be written there.
        JobError: what was written does not agree with the classifier.
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
    checked: list[tuple[Agreement, Agreement | None]] = []

    def write_and_check(partial: Path) -> None:
        step(f"Writing {path}")
        _write(program, partial, form, weights, _describe(classifier, weights))
        step("Comparing what it says with what the classifier says")
        checked.append(_check(open_exported(partial, form), classifier, weights, pictures))

    atomic_write(path, write_and_check)
    kept = [*program.state_dict.values(), *program.constants.values()]
    size = sum(x.nbytes for x in kept if isinstance(x, torch.Tensor))
    return Exported(path, form, weights, path.stat().st_size, size, *checked[0])


def open_exported(path: Path, form: Form, threads: int = 0) -> Score:
    """An exported classifier as a function of preprocessed images.

    Args:
        path: the file.
        form: what it is.
        threads: for ONNX Runtime to compute with; 0 for as many as there are.
    """
    if form == "torch":
        with path.open("rb") as file:  # by name it would want the ending, which comes last
            return torch.no_grad()(torch.export.load(file).module())
    classifier = load_onnx(path, "cpu", threads)
    return lambda images: torch.from_numpy(classifier.probabilities(images.numpy()))


def _write(
    program: ExportedProgram, path: Path, form: Form, weights: Weights, description: str
) -> None:
    if form == "onnx":
        write_onnx(program, path, weights, description)
    else:
        with path.open("wb") as file:
            torch.export.save(program, file, extra_files={EXTRA: description})


def _describe(classifier: Classifier, weights: Weights) -> str:
    about = {**describe(classifier), **classifier.information}
    about.pop("learned_from", None)  # hashes of the user's images
    return exported_text(about, classifier.clip.preprocess, weights)


def _check(
    found: Score, classifier: Classifier, weights: Weights, pictures: Sequence[Item]
) -> tuple[Agreement, Agreement | None]:
    """Compare on random images and on pictures, if there are any."""
    expected, transform = torch.no_grad()(scorer_of(classifier)), classifier.clip.preprocess
    on_noise = compare(expected, found, noise(transform.side))
    require_agreement(on_noise, weights, "random images")
    if not pictures:
        return on_noise, None
    paths = [item.path for item in pictures]
    batches = read_batches(paths, transform, BATCH, enough=transform.enough)
    on_pictures = compare(expected, found, (batch.images for batch in batches))
    require_agreement(on_pictures, weights, "pictures")
    return on_noise, on_pictures
