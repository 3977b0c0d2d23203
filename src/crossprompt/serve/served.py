"""What the server asks of a classifier; it need not be computed by torch."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from numpy import float32
from numpy.typing import NDArray
from PIL.Image import Image

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
