"""Opens the images named on a command line."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from crossprompt.data.image_refs import Input
from crossprompt.errors import RequestError
from crossprompt.inference.bulk.parquet import ParquetFile
from crossprompt.inference.bulk.sources import (
    CsvFile,
    Folder,
    OneFile,
    Source,
    StandardInput,
    Table,
)
from crossprompt.inference.bulk.tar import TarShard
from crossprompt.utils.optional import require_extra

STDIN = "-"
TABLES: dict[str, Callable[[str, str | None], Table]] = {
    ".csv": CsvFile,
    ".parquet": ParquetFile,
    ".tar": TarShard,
}


class Inputs:
    """Every image of several sources, one source after the other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)

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
    if column is not None and not any(isinstance(source, Table) for source in sources):
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
