"""Exports a classifier to one file, which is written only if it agrees with the classifier."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from crossprompt.classifier.classifier import BATCH, Classifier
from crossprompt.classifier.export.onnx import PACKAGES, Weights, write_onnx
from crossprompt.classifier.saving import to_description
from crossprompt.data.dataset import Item
from crossprompt.errors import JobError, RequestError
from crossprompt.inference.metadata import EXTRA, exported_text
from crossprompt.inference.onnx import load_onnx
from crossprompt.methods.features import read_batches
from crossprompt.methods.heads import FORMS
from crossprompt.utils.files import atomic_write, ensure_writable
from crossprompt.utils.optional import require_extra
from crossprompt.utils.shapes import Images, Probabilities
from crossprompt.utils.text import one_line

Form = Literal["onnx", "torch"]
ENDINGS: dict[Form, str] = {"onnx": ".onnx", "torch": ".pt2"}
LIMITS = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}
"""Stored type of the weights to the largest allowed difference of a probability."""
Score = Callable[[Images], Probabilities]
"""Maps preprocessed images to the probabilities of all classes."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of two classifiers on the same images."""

    images: int
    difference: float
    """Largest absolute difference of a probability, over all images and classes."""
    same: float
    """Share of the images that both put into the same class."""


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
    """Agreement on the given images; None if none were given."""


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
    about = {**to_description(classifier), **classifier.information}
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


class Scorer(nn.Module):
    """A classifier as a module: preprocessed images to the probabilities of all classes.

    Raises:
        RequestError: its predictions depend on the batch, or it is not on the CPU in fp32.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.clip, self.frozen = classifier.clip, classifier.frozen
        if self.frozen.form not in FORMS:
            raise RequestError(
                f"a classifier with inference {self.frozen.form!r} is for study and cannot be "
                "exported; freeze it with calibrated"
            )
        dtype, device = self.clip.dtype, self.clip.device
        if dtype != torch.float32 or device.type != "cpu":
            raise RequestError(
                f"found a classifier in {dtype} on {device}; open it with device='cpu', "
                "dtype='fp32', so that no precision is lost"
            )

    def forward(self, images: Images) -> Probabilities:
        """``[batch, 3, side, side]`` to ``[batch, classes]``."""
        logits: torch.Tensor = self.frozen(self.clip, images)
        return logits.softmax(-1)


def trace(classifier: Classifier) -> ExportedProgram:
    """The classifier's program for batches of any size.

    Raises:
        RequestError: see ``Scorer``.
        JobError: its form cannot be traced.
    """
    scorer, side = Scorer(classifier).eval(), classifier.clip.config.image.side
    batch = torch.export.Dim("batch")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about itself
            program = torch.export.export(
                scorer, (torch.zeros(2, 3, side, side),), dynamic_shapes=({0: batch},)
            )
    except Exception as error:  # torch raises many kinds
        raise JobError(
            f"a {classifier.method.name} classifier cannot be written as a graph: "
            f"{type(error).__name__} {one_line(error):.300}"
        ) from error
    return _without_unused_tensors(program)


def _without_unused_tensors(program: ExportedProgram) -> ExportedProgram:
    """The program without tensors that it does not use, for most forms the whole text tower."""
    inputs, used = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}, []
    for spec in program.graph_signature.input_specs:
        node = inputs[spec.arg.name]
        if node.users or spec.target is None:
            used.append(spec)
        else:
            program.graph.erase_node(node)
            program.state_dict.pop(spec.target, None)  # a constant is not in there
    program.graph_signature.input_specs[:] = used
    program.graph_module.recompile()
    return program


def open_exported(path: Path, form: Form, threads: int = 0) -> Score:
    """Open an exported file; ``threads`` are ONNX Runtime's, 0 for as many as there are cores."""
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
    side, generator = transform.side, torch.Generator().manual_seed(1)
    random = torch.randn(11, 3, side, side, generator=generator).split([1, 7, 3])
    noise = compare(expected, found, random)
    require_agreement(noise, weights, "random images")
    if not pictures:
        return noise, None
    paths = [item.path for item in pictures]
    batches = read_batches(paths, transform, BATCH, enough=transform.enough)
    on_pictures = compare(expected, found, (batch.images for batch in batches))
    require_agreement(on_pictures, weights, "pictures")
    return noise, on_pictures


def compare(one: Score, other: Score, batches: Iterable[Tensor]) -> Agreement:
    """Score the same batches of preprocessed images, at least one, with two classifiers."""
    images, difference, same = 0, 0.0, 0
    for batch in batches:
        expected, found = one(batch), other(batch)
        # the maximum of tensors, as Python's would overlook nan
        difference = float(torch.maximum((found - expected).abs().max(), torch.tensor(difference)))
        same += int((found.argmax(-1) == expected.argmax(-1)).sum())
        images += batch.shape[0]
    return Agreement(images, difference, same / images)


def require_agreement(found: Agreement, weights: Weights, images: str) -> None:
    """``JobError`` if probabilities differ by more than the type of the weights explains."""
    limit = LIMITS[weights]
    if not found.difference <= limit:  # nan is no agreement either
        raise JobError(
            f"the exported classifier does not agree with its original: on {found.images} {images} "
            f"a probability differs by {found.difference:.2g}, expected at most {limit:g} with "
            f"{weights} weights; nothing was written"
        )


def measure_speed(score: Score, side: int, seconds: float = 1.0) -> float:
    """Images per second in batches of 8, ``side`` pixels each: the median of at least 3 calls."""
    images = torch.randn(8, 3, side, side, generator=torch.Generator().manual_seed(0))
    score(images)  # warm up
    begin, times = perf_counter(), list[float]()
    while len(times) < 3 or perf_counter() - begin < seconds:
        start = perf_counter()
        score(images)
        times.append(perf_counter() - start)
    return images.shape[0] / sorted(times)[len(times) // 2]
