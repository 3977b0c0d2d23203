"""Prediction API shared by the PyTorch and ONNX classifiers."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, tee
from numbers import Integral
from os import PathLike
from typing import Any

import numpy
from numpy.typing import NDArray
from PIL.Image import Image

from crossprompt.data.dataset import Item
from crossprompt.data.images import (
    UnreadableImageError,
    convert_image,
    prefetch,
    read_image,
)
from crossprompt.errors import RequestError
from crossprompt.utils.config import require
from crossprompt.utils.text import listed

BATCH = 64
"""Images in a batch by default."""
Array = NDArray[numpy.float32]
Top = list[tuple[str, float]]
"""Classes with their probabilities, most probable first."""


@dataclass(frozen=True)
class Prediction:
    """Prediction for one image."""

    path: str
    """The input, as it was given."""
    label: str | None
    """The most probable class; None where the image could not be read."""
    probability: float | None
    """Probability of that class, 0 to 1."""
    top: Top = field(default_factory=list)
    """The most probable classes with their probabilities, most probable first."""
    error: str | None = None
    """The reason why the image could not be read; None if it could."""


@dataclass(frozen=True)
class Input(ABC):
    """Reference to an image, which is read when its turn comes."""

    name: str
    """The image's ``path`` in the predictions."""

    @abstractmethod
    def read(self, enough: int | None = None) -> Image:
        """The image as 8-bit RGB, see ``read_image``; ``RequestError`` if it cannot be read."""

    def version(self) -> str:
        """A text that changes when the image does, as far as can be seen without reading it."""
        return ""


@dataclass(frozen=True)
class ImageFile(Input):
    """Reference to an image file."""

    path: str

    def read(self, enough: int | None = None) -> Image:
        """Read the file."""
        return read_image(self.path, enough)

    def version(self) -> str:
        """Size and time of the last change."""
        return version_of_file(self.path)


@dataclass(frozen=True)
class Picture(Input):
    """An image that Pillow has opened."""

    image: Image

    def read(self, enough: int | None = None) -> Image:
        """Convert a copy."""
        with _converting:  # the same image may be given twice, and is read from its file only once
            return convert_image(self.image)


_converting = threading.Lock()


def version_of_file(path: str | PathLike[str]) -> str:
    """Size in bytes and time of the last change in nanoseconds, or that there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: no path at all, such as one with a zero byte
        return "not there"
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


def batched(images: Iterable[Input], size: int) -> Iterator[tuple[Input, ...]]:
    """Batches of ``size`` images; the last one may be smaller."""
    source = iter(images)
    while batch := tuple(islice(source, size)):
        yield batch


Images = Iterable[str | PathLike[str] | Item | Image | Input]
"""Image files, items of a split, images that Pillow has opened, or references to images."""


class ImageClassifier(ABC):
    """Base of all classifiers: subclasses prepare and score images.

    ``prepare`` is called from several threads at once, ``probabilities`` from one. An image must be
    scored alike in any batch.
    """

    class_names: tuple[str, ...]
    """Class names, in the order of the probabilities."""

    @property
    @abstractmethod
    def enough(self) -> int | None:
        """Pixels of the shorter side from which an image needs no more; see ``decode_image``."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of everything that predictions depend on."""

    @abstractmethod
    def prepare(self, image: Image) -> Array:
        """Transform an RGB image to ``[3, side, side]``."""

    @abstractmethod
    def probabilities(self, images: Array) -> Array:
        """Compute ``[batch, classes]`` for prepared images ``[batch, 3, side, side]``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"

    def _summary(self) -> str:
        return f"{len(self.class_names)} classes: {listed(self.class_names)}"

    def predict(self, images: Images, top_k: int = 5, batch_size: int = BATCH) -> list[Prediction]:
        """Classify images; one prediction per input, in order, see ``predict_stream``."""
        return list(self.predict_stream(images, top_k, batch_size))

    def predict_stream(
        self, images: Images, top_k: int = 5, batch_size: int = BATCH
    ) -> Iterator[Prediction]:
        """Classify any number of images in constant memory.

        Args:
            images: image files, items of a split, or images that Pillow has opened; may be a
                generator.
            top_k: number of classes in ``Prediction.top``, at most all.
            batch_size: images at a time; it does not change the predictions.

        Raises:
            RequestError: ``images`` is a single image or holds something else, or ``top_k`` or
                ``batch_size`` is less than 1. A file that cannot be read raises nothing: its
                prediction has the reason in ``error``.
        """
        if isinstance(images, (str, bytes, PathLike, Image)):
            raise RequestError(f"expected a list of images, found {images!r}; put it in a list")
        if hasattr(images, "columns"):  # a table would be iterated by the names of its columns
            raise RequestError("found a table, expected a list of images; give one of its columns")
        for name, value in (("top_k", top_k), ("batch_size", batch_size)):
            fine = isinstance(value, Integral) and int(value) >= 1
            require(fine, f"{name} is {value!r}, expected 1 or more, a whole number")
        batches = batched(_references(images), batch_size)
        return (found for batch in self.predict_batches(batches, top_k) for found in batch)

    def predict_batches(
        self, batches: Iterable[Sequence[Input]], top_k: int
    ) -> Iterator[list[Prediction]]:
        """Classify batches of references; threads read ahead, also into the next batches."""
        batches, ahead = tee(batches)
        prepared = prefetch(self._prepare, chain.from_iterable(ahead))
        for batch in batches:
            images = list(islice(prepared, len(batch)))
            yield self._predict_batch(batch, images, min(top_k, len(self.class_names)))

    def _prepare(self, image: Input) -> Array | str:
        """The prepared image, or the reason why there is none."""
        try:
            return self.prepare(image.read(self.enough))
        except UnreadableImageError as error:
            return error.bad.reason
        except (RequestError, OSError) as error:
            return str(error)

    def _predict_batch(
        self, inputs: Sequence[Input], images: Sequence[Array | str], top_k: int
    ) -> list[Prediction]:
        predictions = [
            Prediction(each.name, None, None, error=image if isinstance(image, str) else None)
            for each, image in zip(inputs, images, strict=True)
        ]
        readable = [i for i, image in enumerate(images) if not isinstance(image, str)]
        if readable:
            probabilities = self.probabilities(numpy.stack([images[i] for i in readable]))
            order = numpy.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
            for i, row, labels in zip(readable, probabilities, order, strict=True):
                top = [(self.class_names[label], float(row[label])) for label in labels]
                predictions[i] = Prediction(inputs[i].name, *top[0], top)
        return predictions


def _references(images: Iterable[Any]) -> Iterator[Input]:
    for number, image in enumerate(images, start=1):
        if isinstance(image, (str, PathLike)):
            path = os.fspath(image)  # unchanged: Path would drop a leading ./
            yield ImageFile(path, path)
        elif isinstance(image, Item):
            yield ImageFile(str(image.path), str(image.path))
        elif isinstance(image, Image):
            yield Picture(os.fsdecode(getattr(image, "filename", "")) or f"image {number}", image)
        else:
            require(
                isinstance(image, Input),
                f"found a {type(image).__name__}, expected the path of an image file, or an image "
                "that Pillow has opened (of an array: PIL.Image.fromarray)",
            )
            yield image
