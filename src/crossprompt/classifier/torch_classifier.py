"""A saved classifier as it is served with torch."""

from collections.abc import Sequence

import torch
from PIL.Image import Image

from crossprompt.classifier.classifier import Classifier
from crossprompt.inference.base import Array


class TorchClassifier:
    """Serves a ``Classifier``.

    Args:
        classifier: on the device it is to be computed on.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def class_names(self) -> Sequence[str]:
        """In the order of the probabilities."""
        return self._classifier.class_names

    @property
    def enough(self) -> int:
        """Shorter side in pixels that an image needs to have."""
        return self._classifier.enough

    def prepare(self, image: Image) -> Array:
        """The backbone's test transform: an RGB image to ``[3, side, side]``."""
        prepared: Array = self._classifier.prepare(image).numpy()
        return prepared

    def probabilities(self, images: Array) -> Array:
        """``[batch, classes]`` for ``[batch, 3, side, side]`` images."""
        probabilities: Array = (
            self._classifier.logits(torch.from_numpy(images)).softmax(-1).cpu().numpy()
        )
        return probabilities
