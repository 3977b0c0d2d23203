"""Prediction of any number of images into a file, in constant memory and resumable."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from crossprompt.data.image_refs import Input
from crossprompt.errors import JobError
from crossprompt.inference.base import ImageClassifier, Prediction, batched
from crossprompt.inference.bulk.output import Mark, PartialFile, chain_hash

Group = Sequence[Input]
"""A batch of inputs, the same for every engine, so that all engines give the same rows."""
Predictor = ImageClassifier
"""A classifier, exported or not."""


class Engine(ABC):
    """Place where batches are classified."""

    @abstractmethod
    def answers(self, groups: Iterable[Group]) -> Iterator[list[Prediction]]:
        """Predictions of every batch, in order; batches may be taken ahead."""


class Local(Engine):
    """This process."""

    def __init__(self, classifier: Predictor, top_k: int) -> None:
        self._classifier, self._top_k = classifier, top_k

    def answers(self, groups: Iterable[Group]) -> Iterator[list[Prediction]]:
        return self._classifier.predict_batches(groups, self._top_k)


def predict_to_file(
    inputs: Iterable[Input],
    engine: Engine,
    file: PartialFile,
    batch_size: int,
    *,
    restart: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Write one row per input, in order; returns the number of inputs that could not be read.

    Args:
        inputs: the same, in the same order, whenever the same run is resumed.
        engine: classifies.
        file: output.
        batch_size: inputs in a batch.
        restart: discard the rows of an earlier run.
        progress: called with the number of rows after every batch.
        say: called with a sentence for the user.

    Raises:
        RequestError: an earlier run of this file had other inputs or settings.
        JobError: the engine's predictions do not fit the inputs.
    """
    with file.open(restart):
        batches = batched(inputs, batch_size)
        resumed = file.mark.rows
        if resumed:
            _skip(batches, file)
            say(f"resuming after the {resumed:,} rows in {file.folder}")
        try:
            _append(batches, engine, file, progress)
        except BaseException:
            with suppress(OSError):  # of a full disk: the error that is raised reports it
                file.save_progress()
            if file.mark.rows > resumed:
                rows = f"{file.mark.rows:,} rows are saved in {file.folder}"
                say(f"{rows}; the same command resumes after them")
            raise
    return file.failed


def _skip(batches: Iterator[Group], file: PartialFile) -> None:
    """Skip the finished inputs; ``RequestError`` if they are not those of the earlier run."""
    mark = Mark()
    while mark.rows < file.mark.rows and (batch := next(batches, None)):
        mark = mark.after(batch)
    if mark != file.mark:
        change = "have another size or time"
        if mark.names != file.mark.names:
            change = "were removed or renamed, or others came before or between them"
        finished = f"of the {file.mark.rows:,} finished images, some"
        raise file.refuse(f"is of other images: {finished} {change}")


def _append(
    batches: Iterator[Group], engine: Engine, file: PartialFile, progress: Callable[[int], None]
) -> None:
    waiting: deque[Mark] = deque()  # of the batches that the engine has taken ahead

    def marked() -> Iterator[Group]:
        mark = file.mark
        for batch in batches:
            mark = mark.after(batch)
            waiting.append(mark)
            yield batch

    for predictions in engine.answers(marked()):
        mark = waiting.popleft()
        if mark.names != chain_hash(file.mark.names, (found.path for found in predictions)):
            raise JobError(
                f"rows {file.mark.rows:,} to {mark.rows:,} are of other images than expected, "
                f"first {predictions[0].path}; run the same command again"
            )
        file.append(predictions, mark)
        progress(mark.rows)
    if waiting:
        raise JobError(f"{len(waiting)} batches had no predictions; run the same command again")
