"""Prediction of any number of images into a file, in constant memory and resumable."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from crossprompt.errors import JobError, RequestError
from crossprompt.inference.base import ImageClassifier, Input, Prediction, batched
from crossprompt.inference.bulk.output import Mark, PartialFile
from crossprompt.inference.bulk.parquet import ParquetFile
from crossprompt.inference.bulk.sources import (
    CsvFile,
    Folder,
    OneFile,
    Source,
    StandardInput,
    TableSource,
)
from crossprompt.inference.bulk.tar import TarShard
from crossprompt.utils.optional import require_extra
from crossprompt.utils.text import one_line

if TYPE_CHECKING:  # imports joblib, which a prediction without Ray can spare
    from crossprompt.utils.ray import Cluster

InputBatch = Sequence[Input]
"""Inputs that are scored together: the same ones for every engine, so that the rows are, too."""
Engine = Callable[[Iterable[InputBatch]], Iterator[list[Prediction]]]
"""Classifies batches, in order, such as ``ImageClassifier.predict_batches``; may read ahead."""
STDIN = "-"
TABLES: dict[str, Callable[[str, str | None], TableSource]] = {
    ".csv": CsvFile,
    ".parquet": ParquetFile,
    ".tar": TarShard,
}


@dataclass(frozen=True)
class Inputs:
    """Every image of several sources, one source after the other."""

    sources: Sequence[Source]

    def __iter__(self) -> Iterator[Input]:
        for source in self.sources:
            yield from source

    def count(self) -> int | None:
        """Number of images; None if a source does not know its own."""
        counts = [source.count() for source in self.sources]
        return None if None in counts else sum(filter(None, counts))

    def versions(self) -> dict[str, str]:
        """Versions of the sources that are files of many images."""
        return {source.word: found for source in self.sources if (found := source.version())}


def open_inputs(
    words: Sequence[str],
    column: str | None = None,
    begin_stdin: Callable[[], None] = lambda: None,
) -> Inputs:
    """Open the source that each word names.

    Args:
        words: image files, folders, CSV and Parquet files, tar shards, ``-`` for standard input;
            ``{000..009}`` stands for many unless there is a file of that name.
        column: column of images in CSV and Parquet files, extension of the image in tar shards.
        begin_stdin: called before standard input is awaited.

    Raises:
        RequestError: a word is no file and no folder, a folder holds no image, a file is not of
            its extension's format, or ``column`` would be ignored.
    """
    words = [part for word in words for part in _expand_braces(word)]
    if missing := [word for word in words if word != STDIN and not Path(word).exists()]:
        raise RequestError(f"no such file or folder: {', '.join(missing[:5])}")
    if words.count(STDIN) > 1:
        raise RequestError("- stands for standard input twice; give it once")
    sources: list[Source] = []
    for word in words:
        table = TABLES.get(Path(word).suffix.lower())
        if word == STDIN:
            sources.append(StandardInput(word, begin_stdin))
        elif Path(word).is_dir():
            sources.append(Folder(word))
        else:
            sources.append(table(word, column) if table else OneFile(word))
    if column is not None and not any(isinstance(source, TableSource) for source in sources):
        raise RequestError(
            f"--column {column} goes with .csv, .parquet and .tar files; leave it out"
        )
    return Inputs(sources)


def _expand_braces(word: str) -> list[str]:
    """``a-{0..2}.tar`` as ``a-0.tar``, ``a-1.tar`` and ``a-2.tar``."""
    if "{" not in word or Path(word).exists():
        return [word]
    require_extra("bulk", ["braceexpand"], word)
    from braceexpand import braceexpand

    try:
        return list(braceexpand(word))
    except ValueError:  # unbalanced braces
        return [word]


def predict_on_ray(
    batches: Iterable[InputBatch],
    open_classifier: Callable[[], ImageClassifier],
    top_k: int,
    cluster: "Cluster",
) -> Iterator[list[Prediction]]:
    """Classify batches on a Ray cluster, in order.

    Workers receive references to images, about 200 bytes each, and read the images themselves:
    they must see the same files under the same paths.

    Args:
        batches: submitted ahead.
        open_classifier: called once in every worker.
        top_k: number of classes in a prediction.
        cluster: where to compute.

    Raises:
        JobError: a batch cannot be classified.
    """

    with cluster.connected() as ray:
        opening = ray.put(open_classifier)
        predict = partial(_predict_batch, top_k=top_k)
        yield from cluster.map(predict, ((opening, batch) for batch in batches), _fail)


def _predict_batch(classifier: ImageClassifier, batch: InputBatch, top_k: int) -> list[Prediction]:
    return classifier.predict(batch, top_k, len(batch))


def _fail(batch: InputBatch, error: Exception) -> NoReturn:
    reason = f"{type(error).__name__}: {one_line(error)[-300:]}"
    raise JobError(f"the cluster failed ({reason}); run the same command again") from error


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
        resumed = file.progress.mark.rows
        if resumed:
            _skip(batches, file)
            say(f"resuming after the {resumed:,} rows in {file.folder}")
        try:
            _append(batches, engine, file, progress)
        except BaseException:
            with suppress(OSError):  # the disk may be full: the original error is raised
                file.save_progress()
            if file.progress.mark.rows > resumed:
                rows = f"{file.progress.mark.rows:,} rows are saved in {file.folder}"
                say(f"{rows}; the same command resumes after them")
            raise
    return file.progress.failed


def _skip(batches: Iterator[InputBatch], file: PartialFile) -> None:
    """Skip the finished inputs; ``RequestError`` if they are not those of the earlier run."""
    mark, end = Mark(), file.progress.mark
    while mark.rows < end.rows and (batch := next(batches, None)):
        mark = mark.after(batch)
    if mark != end:
        change = "have another size or time"
        if mark.names != end.names:
            change = "were removed or renamed, or others came before or between them"
        raise file.refuse(f"is of other images: of the {end.rows:,} finished images, some {change}")


def _append(
    batches: Iterator[InputBatch],
    engine: Engine,
    file: PartialFile,
    progress: Callable[[int], None],
) -> None:
    def marked() -> Iterator[tuple[InputBatch, Mark]]:
        mark = file.progress.mark
        for batch in batches:
            mark = mark.after(batch)
            yield batch, mark

    ahead, due = tee(marked())  # the engine reads ahead of the rows that are due
    found = engine(batch for batch, _ in ahead)
    for batch, mark in due:
        predictions = next(found, [])
        if [x.path for x in predictions] != [image.name for image in batch]:
            raise JobError(
                f"rows {file.progress.mark.rows:,} to {mark.rows:,} have no predictions, or those "
                f"of other images than {batch[0].name} …; run the same command again"
            )
        file.append(predictions, mark)
        progress(mark.rows)
