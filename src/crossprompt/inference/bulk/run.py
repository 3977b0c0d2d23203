"""Any number of inputs into a file: in constant memory, and on from where it was stopped."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Protocol, runtime_checkable

from crossprompt.data.image_refs import Input
from crossprompt.errors import JobError
from crossprompt.inference.base import Images, Prediction
from crossprompt.inference.bulk.output import Mark, PartialFile

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
    """Write one row per input, in order.

    Args:
        inputs: the same, in the same order, whenever the same run goes on.
        engine: answers.
        file: where to.
        batch_size: inputs in a group.
        restart: forget what an earlier run has written of this file.
        progress: called with the number of rows after every group.
        say: called with a sentence for the user.

    Returns:
        How many inputs could not be read.

    Raises:
        RequestError: an earlier run of this file had other inputs or settings.
        JobError: the engine mixed up the answers.
    """
    file.open(restart)
    try:
        groups = grouped(inputs, batch_size)
        if file.mark.rows:
            _skip(groups, file)
            say(f"going on after the {file.mark.rows:,} rows in {file.folder}")
        begun = file.mark.rows
        try:
            _answer(groups, engine, file, progress)
        except BaseException:
            with suppress(OSError):  # of a full disk, which is told already
                file.make_safe()
            if file.mark.rows > begun:
                rows = f"{file.mark.rows:,} rows are kept in {file.folder}"
                say(f"{rows}; the same command goes on after them")
            raise
        file.finish()
    except BaseException:
        file.close()
        raise
    return file.failed


def grouped(inputs: Iterable[Input], size: int) -> Iterator[Group]:
    """Groups of ``size`` inputs, the last of as many or fewer."""
    source = iter(inputs)
    while group := tuple(islice(source, size)):
        yield group


def _skip(groups: Iterator[Group], file: PartialFile) -> None:
    """Pass by what is finished, if it is the same."""
    mark = Mark()
    while mark.rows < file.mark.rows and (group := next(groups, None)):
        mark = mark.after(group)
    finished = f"{file.mark.rows:,} images that are finished"
    if (mark.rows, mark.names) != (file.mark.rows, file.mark.names):
        raise file.refuse(
            f"is of other images: of the {finished}, some were removed or renamed, or others came "
            "before or between them"
        )
    if mark.versions != file.mark.versions:
        raise file.refuse(
            f"is of other images: of the {finished}, some have another size or time now"
        )


def _answer(
    groups: Iterator[Group], engine: Engine, file: PartialFile, progress: Callable[[int], None]
) -> None:
    waiting: deque[tuple[Mark, tuple[str, str]]] = deque()  # an engine takes groups ahead

    def marked() -> Iterator[Group]:
        mark = file.mark
        for group in groups:
            mark = mark.after(group)
            waiting.append((mark, (group[0].name, group[-1].name)))
            yield group

    for answers in engine.answers(marked()):
        mark, names = waiting.popleft()
        found = (answers[0].path, answers[-1].path)
        if (file.mark.rows + len(answers), found) != (mark.rows, names):
            raise JobError(
                f"rows {file.mark.rows:,} to {mark.rows:,} are of {found[0]} to {found[1]}, "
                f"expected {names[0]} to {names[1]}; run the same command again"
            )
        file.append(answers, mark)
        progress(mark.rows)
    if waiting:
        raise JobError(f"{len(waiting)} groups of images had no answer; run the same command again")
