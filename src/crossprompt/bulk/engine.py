"""Engines answer groups of inputs, in order; where they compute is all that differs."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Protocol, runtime_checkable

from crossprompt.data.inputs import Input
from crossprompt.prediction import Images, Prediction

Group = Sequence[Input]
"""Inputs that share a batch, whatever the engine, so that all engines give the same answers."""


@runtime_checkable
class Predictor(Protocol):
    """A classifier, exported or not."""

    class_names: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """What is another for a classifier that may answer otherwise."""

    def predict_stream(
        self, images: Images, top_k: int = ..., batch_size: int = ...
    ) -> Iterator[Prediction]:
        """Classify any number of images."""


class Engine(ABC):
    """Where inputs are classified."""

    @abstractmethod
    def answers(self, groups: Iterable[Group]) -> Iterator[list[Prediction]]:
        """Of every group, in order.

        Args:
            groups: of ``batch_size`` inputs, the last of as many or fewer; may be a generator.
        """


class Local(Engine):
    """This process.

    Args:
        classifier: answers.
        top_k: how many classes an answer lists.
        batch_size: inputs in a group.
    """

    def __init__(self, classifier: Predictor, top_k: int, batch_size: int) -> None:
        self._classifier, self._top_k, self._batch_size = classifier, top_k, batch_size

    def answers(self, groups: Iterable[Group]) -> Iterator[list[Prediction]]:
        """Read ahead in threads, over the ends of groups; a few groups are held at a time."""
        inputs = chain.from_iterable(groups)
        stream = self._classifier.predict_stream(inputs, self._top_k, self._batch_size)
        while group := list(islice(stream, self._batch_size)):
            yield group
