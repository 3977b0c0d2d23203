"""All that a command line names, as one row of inputs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from crossprompt.data.image_refs import Input
from crossprompt.errors import RequestError
from crossprompt.inference.bulk.parquet import ParquetFile
from crossprompt.inference.bulk.sources import (
    CsvFile,
    Folder,
    Lines,
    OneFile,
    Source,
    expand_braces,
)
from crossprompt.inference.bulk.tar import TarShard

STDIN = "-"
TABLES: dict[str, Callable[[str, str | None], Source]] = {
    ".csv": CsvFile,
    ".parquet": ParquetFile,
    ".tar": TarShard,
}
"""By the ending of a file."""


class Inputs:
    """Every image of some sources, in order.

    Args:
        sources: one after the other.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)

    def __iter__(self) -> Iterator[Input]:
        for source in self.sources:
            yield from source.inputs()

    def count(self) -> int | None:
        """How many there are; None where that is known only in the end."""
        total = 0
        for source in self.sources:
            if (count := source.count()) is None:
                return None
            total += count
        return total

    def versions(self) -> dict[str, str]:
        """Each source that is a file of many images, and its version."""
        return {source.word: found for source in self.sources if (found := source.version())}


def open_inputs(
    words: Sequence[str],
    column: str | None = None,
    begin_stdin: Callable[[], None] = lambda: None,
) -> Inputs:
    """What each word stands for.

    Args:
        words: image files, folders, CSV and Parquet files, tar shards, ``-`` for standard input;
            where there is no such file, ``{000..009}`` stands for many.
        column: with the images in CSV and Parquet files, the ending in tar shards.
        begin_stdin: called before standard input is awaited.

    Raises:
        RequestError: a word is no file and no folder, a folder holds no image, a file is not what
            its ending says, or the column would be ignored.
    """
    words = [part for word in words for part in _parts(word)]
    if missing := [word for word in words if word != STDIN and not Path(word).exists()]:
        raise RequestError(f"no such file or folder: {', '.join(missing[:5])}")
    if words.count(STDIN) > 1:
        raise RequestError("- stands for standard input twice; give it once")
    if column is not None and not any(_table_of(word) for word in words):
        raise RequestError(
            f"--column {column} goes with .csv, .parquet and .tar files; leave it out"
        )
    sources: list[Source] = []
    for word in words:
        table = _table_of(word)
        if word == STDIN:
            sources.append(Lines(word, begin_stdin))
        elif Path(word).is_dir():
            sources.append(Folder(word))
        else:
            sources.append(table(word, column) if table else OneFile(word))
    return Inputs(sources)


def _table_of(word: str) -> Callable[[str, str | None], Source] | None:
    return None if Path(word).is_dir() else TABLES.get(Path(word).suffix.lower())


def _parts(word: str) -> list[str]:
    return expand_braces(word) if "{" in word and not Path(word).exists() else [word]
