"""Classifies inputs on a Ray cluster; the rows are those of ``Local``.

Workers receive references to images, about 200 bytes each, and read the images themselves: they
must see the same files under the same paths.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from crossprompt.errors import JobError
from crossprompt.inference.base import Prediction
from crossprompt.inference.bulk.run import Engine, Group, Predictor
from crossprompt.utils.ray import Cluster
from crossprompt.utils.text import one_line


@dataclass(frozen=True)
class OnRay(Engine):
    """A Ray cluster.

    Args:
        open: opens the classifier, once in every worker.
        top_k: classes in an answer.
        batch_size: inputs in a group.
        cluster: where to compute.
    """

    open: Callable[[], Predictor]
    top_k: int
    batch_size: int
    cluster: Cluster

    def answers(self, groups: Iterable[Group]) -> Iterator[list[Prediction]]:
        """Groups are submitted ahead; their answers come in order."""
        with self.cluster.connected() as ray:
            opening = ray.put(self.open)
            calls = ((opening, group) for group in groups)
            yield from self.cluster.map(self._answer, calls, _fail)

    def _answer(self, classifier: Predictor, group: Group) -> list[Prediction]:
        return list(classifier.predict_stream(group, self.top_k, self.batch_size))


def _fail(group: Group, error: Exception) -> NoReturn:
    reason = one_line(error)[-300:]
    raise JobError(
        f"the cluster failed ({type(error).__name__}: {reason}); run the same command again"
    ) from error
