"""What a classifier says of images, whatever computes it."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from numbers import Integral
from os import PathLike
from typing import Any, Protocol, TypeVar, runtime_checkable

from numpy import float32
from numpy.typing import NDArray
from PIL.Image import Image

from crossprompt.data.dataset import Item
from crossprompt.data.image_refs import ImageFile, Input, Picture
from crossprompt.data.images import UnreadableImageError
from crossprompt.data.prefetch import prefetch
from crossprompt.errors import RequestError
from crossprompt.utils.config import require
from crossprompt.utils.text import listed

Array = NDArray[float32]


@runtime_checkable
class Served(Protocol):
    """A classifier as the server sees it.

    ``prepare`` is called from several threads at once, ``probabilities`` from one. An image must be
    scored alike in any batch.
    """

    @property
    def class_names(self) -> Sequence[str]:
        """In the order of the probabilities."""
        ...

    @property
    def enough(self) -> int | None:
        """Shorter side in pixels that an image needs to have, see ``decode_image``."""
        ...

    def prepare(self, image: Image) -> Array:
        """The transform: an RGB image to ``[3, side, side]``."""
        ...

    def probabilities(self, images: Array) -> Array:
        """Of every class, ``[batch, classes]``, for ``[batch, 3, side, side]`` images."""
        ...


BATCH = 64
"""Images at a time."""

Pixels = TypeVar("Pixels")
Images = Iterable[str | PathLike[str] | Item | Image | Input]
"""Image files, also those of a split, images that Pillow has opened, or references to images that
lie elsewhere."""
Top = list[tuple[str, float]]
"""Classes with their probabilities, best first."""


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one image."""

    path: str
    """The input, as it was given."""
    label: str | None
    """The most probable class; None where the image could not be read."""
    probability: float | None
    """Of that class, 0 to 1."""
    top: Top = field(default_factory=list)
    """The most probable classes with their probabilities, best first."""
    error: str | None = None
    """What is wrong with the image, if it could not be read."""


class ImageClassifier(ABC):
    """A classifier of image files, whatever computes it: subclasses read and score."""

    class_names: tuple[str, ...]
    """In the order of the scores."""

    @property
    @abstractmethod
    def enough(self) -> int:
        """Shorter side in pixels that an image needs to have."""

    @abstractmethod
    def prepare(self, image: Image) -> Any:
        """The transform: an RGB image to ``[3, side, side]``."""

    @abstractmethod
    def best(self, images: list[Any], top_k: int) -> list[Top]:
        """The ``top_k`` best classes of each of some images, at least one, as ``prepare`` gives
        them."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._in_words()})"

    def _in_words(self) -> str:
        """What it is, for ``repr``."""
        return f"{len(self.class_names)} classes: {listed(self.class_names)}"

    def predict(self, images: Images, top_k: int = 5, batch_size: int = BATCH) -> list[Prediction]:
        """Classify images; one prediction per input, in order, see ``predict_stream``."""
        return list(self.predict_stream(images, top_k, batch_size))

    def predict_stream(
        self, images: Images, top_k: int = 5, batch_size: int = BATCH
    ) -> Iterator[Prediction]:
        """Classify any number of images in constant memory.

        Args:
            images: image files, also those of a split, or images that Pillow has opened; may be a
                generator.
            top_k: how many classes ``Prediction.top`` lists, at most all.
            batch_size: images at a time; it does not change the answers.

        Raises:
            RequestError: ``images`` is a single one or holds what is none, or ``top_k`` or
                ``batch_size`` is less than 1. A file that cannot be read is no error: its
                prediction says what is wrong.
        """
        check_request(images, top_k, batch_size)
        top_k = min(top_k, len(self.class_names))
        score = partial(self.best, top_k=top_k)
        return predict_images(images, self.prepare, self.enough, score, batch_size)


def check_request(images: object, top_k: object, batch_size: object) -> None:
    """``RequestError`` if ``images`` is a single one, or a number is less than 1."""
    if isinstance(images, (str, bytes, PathLike, Image)):
        raise RequestError(f"expected a list of images, found {images!r}; put it in a list")
    if hasattr(images, "columns"):  # of a table, which would give the columns' names
        raise RequestError("found a table, expected a list of images; give one of its columns")
    for name, value in (("top_k", top_k), ("batch_size", batch_size)):
        fine = isinstance(value, Integral) and int(value) >= 1
        require(fine, f"{name} is {value!r}, expected 1 or more, a whole number")


def _inputs(images: Iterable[Any]) -> Iterator[Input]:
    for number, one in enumerate(images, start=1):
        if isinstance(one, (str, PathLike)):
            path = os.fspath(one)  # as it was typed: Path would drop a leading ./
            yield ImageFile(path, path)
        elif isinstance(one, Item):
            yield ImageFile(str(one.path), str(one.path))
        elif isinstance(one, Image):
            yield Picture(os.fsdecode(getattr(one, "filename", "")) or f"image {number}", one)
        else:
            require(
                isinstance(one, Input),
                f"found a {type(one).__name__}, expected the path of an image file, or an image "
                "that Pillow has opened (of an array: PIL.Image.fromarray)",
            )
            yield one


def predict_images(
    images: Images,
    transform: Callable[[Image], Pixels],
    enough: int,
    score: Callable[[list[Pixels]], list[Top]],
    batch_size: int,
) -> Iterator[Prediction]:
    """Classify any number of images in constant memory; one prediction per input, in order.

    Args:
        images: paths, images that Pillow has opened, or references to images that lie elsewhere;
            may be a generator.
        transform: image to what ``score`` takes.
        enough: shorter side in pixels that a file needs to have, see ``read_image``.
        score: the best classes of each of some images, at least one.
        batch_size: inputs at a time.

    Raises:
        RequestError: an input is none of these.
    """

    def read(given: Input) -> tuple[str, Pixels | None, str | None]:
        try:
            return given.name, transform(given.read(enough)), None
        except UnreadableImageError as error:
            return given.name, None, error.bad.reason
        except (RequestError, OSError) as error:
            return given.name, None, str(error)

    results = prefetch(read, _inputs(images))
    while group := list(islice(results, batch_size)):
        readable = [pixels for _, pixels, _ in group if pixels is not None]
        rows = iter(score(readable) if readable else [])
        for path, pixels, error in group:
            if pixels is None:
                yield Prediction(path, None, None, error=error)
            else:
                top = next(rows)
                yield Prediction(path, *top[0], top)
