"""Inputs answered on a Ray cluster: the rows of ``Local``, from workers that may be lost.

References to the images lie in Ray's object store, about 200 bytes each; the images themselves are
read by the workers, which must see the same files under the same paths.
"""

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from crossprompt.errors import JobError
from crossprompt.inference.base import Prediction
from crossprompt.inference.bulk.run import Engine, Group, Predictor
from crossprompt.utils.ray import check_room, connected, count_room, grows
from crossprompt.utils.text import one_line

IN_A_BLOCK = 4
"""Groups that a worker is given at a time."""


@dataclass(frozen=True)
class OnRay(Engine):
    """A Ray cluster.

    Args:
        open: the classifier, in a worker.
        top_k: how many classes an answer lists.
        batch_size: inputs in a group.
        address: of a running cluster, ``auto`` for the one on this machine; None starts one.
        workers: each with a classifier of its own; as many as there is room for by default.
        threads: CPU cores of each.
        gpus: of each, also a part of one.
    """

    open: Callable[[], Predictor]
    top_k: int
    batch_size: int
    address: str | None = None
    workers: int | None = None
    threads: int = 1
    gpus: float = 0.0

    def answers(self, groups: Iterable[Group]) -> Iterator[list[Prediction]]:
        """All groups are taken at once; their answers come in order, as soon as they are known."""
        import joblib

        # where Ray's core warns of how Ray Data makes actors
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        here = self.workers or max(1, joblib.cpu_count() // self.threads)
        with connected(self.address, here * self.threads) as ray:
            workers = self._workers(ray.nodes(), grows=self.address is not None and grows(ray))
            blocks = [ray.put(block) for block in _blocks(groups)]
            if not blocks:
                return
            try:
                for row in self._mapped(ray, blocks, workers).iter_rows():
                    yield pickle.loads(row["answers"])
            except ray.exceptions.RayError as error:
                text = one_line(error)
                raise JobError(
                    f"the cluster failed ({type(error).__name__}: {text[-300:]}); run the same "
                    "command again"
                ) from error

    def _mapped(self, ray: Any, blocks: list[Any], workers: int) -> Any:
        import ray.data as data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False  # there is one already
        return data.from_arrow_refs(blocks).map_batches(
            _Worker,
            fn_constructor_args=(self.open, self.top_k, self.batch_size, os.getcwd()),
            compute=data.ActorPoolStrategy(size=workers),
            batch_size=1,  # a group
            batch_format="pyarrow",
            num_cpus=self.threads,
            num_gpus=self.gpus,
        )

    def _workers(self, nodes: Sequence[Mapping[str, Any]], *, grows: bool = False) -> int:
        """How many; ``RequestError`` if not even one has room, as it would be waited for."""
        asked = {"CPU": float(self.threads), "GPU": self.gpus}
        room = count_room(asked, nodes)
        if not room:
            advice = "ask for less (--threads, --gpus), or name another cluster with --ray-address"
            check_room("worker", asked, nodes, grows=grows, advice=advice)
            return self.workers or 1
        return min(self.workers or room, room)


class _Worker:
    """An actor, which opens the classifier once."""

    def __init__(
        self, open: Callable[[], Predictor], top_k: int, batch_size: int, folder: str
    ) -> None:
        if os.path.isdir(folder):
            os.chdir(folder)  # that paths are relative to
        self._classifier, self._top_k, self._batch_size = open(), top_k, batch_size

    def __call__(self, block: Any) -> Any:
        groups = (pickle.loads(group) for group in block["group"].to_pylist())
        answers = [
            list(self._classifier.predict_stream(group, self._top_k, self._batch_size))
            for group in groups
        ]
        return _table("answers", answers)


def _blocks(groups: Iterable[Group]) -> Iterator[Any]:
    source = iter(groups)
    while block := list(islice(source, IN_A_BLOCK)):
        yield _table("group", block)


def _table(name: str, rows: list[Any]) -> Any:
    """Objects as Ray sends them between its own processes."""
    import pyarrow

    return pyarrow.table({name: pyarrow.array(map(pickle.dumps, rows), pyarrow.binary())})
