"""Images in WebDataset's tar shards.

The format is tar's, read by Python's own module for it; the webdataset library does the same, but
imports torch, which who classifies with an exported classifier need not have, and runs names such
as "pipe:…" as commands. Headers alone are read here; each image is read when its turn comes.
"""

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from crossprompt.data.files import is_visible
from crossprompt.data.image_refs import Broken, Input, Slice
from crossprompt.data.images import EXTENSIONS
from crossprompt.errors import RequestError
from crossprompt.inference.bulk.sources import Table


@dataclass
class _Sample:
    """Members of one key that follow one another."""

    key: str
    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Offset and size of the bytes of images, by the ending."""
    others: list[str] = field(default_factory=list)

    def add(self, ending: str, member: tarfile.TarInfo) -> None:
        """Take in a member."""
        if f".{ending.rpartition('.')[2]}" in EXTENSIONS:
            self.images[ending] = (member.offset_data, member.size)
        else:
            self.others.append(ending)


class TarShard(Table):
    """A tar file whose members are grouped by the part of their name before the first dot.

    Args:
        word: the file.
        column: the ending of the image to take, where a key has several.

    Raises:
        RequestError: it cannot be read, or is no tar file, or a compressed one.
    """

    def __init__(self, word: str, column: str | None = None) -> None:
        super().__init__(word)
        self._ending = None if column is None else column.lower().lstrip(".")
        try:
            tarfile.open(word, "r:").close()
        except OSError as error:
            raise RequestError(f"cannot read {word}: {error.strerror}") from error
        except tarfile.TarError as error:
            raise RequestError(
                f"{word} is no plain tar file ({error}); where it is compressed, unpack that first"
            ) from error

    def inputs(self) -> Iterator[Input]:
        """A reference for each key; a damaged shard ends with an error in place of its rest."""
        keys = 0
        try:
            for sample in self._samples():
                keys += 1
                yield self._input(sample)
        except (tarfile.TarError, OSError) as error:
            yield Broken(self.at(f"after {keys} keys"), f"damaged; what follows is lost: {error}")

    def _input(self, sample: _Sample) -> Input:
        name = self.at(sample.key)
        wanted = {self._ending} if self._ending else set(sample.images)
        found = [place for ending, place in sample.images.items() if ending in wanted]
        there = ", ".join(f".{ending}" for ending in [*sample.images, *sample.others])
        if not found:
            return Broken(name, f"no image among {there}")
        if len(found) > 1:
            return Broken(name, f"several images, {there}; say which with --column")
        return Slice(name, self.word, *found[0])

    def _samples(self) -> Iterator[_Sample]:
        sample = None
        try:
            for member in self._members():
                folder, name = posixpath.split(member.name)
                stem, _, ending = name.partition(".")
                if not member.isfile() or not is_visible(name):
                    continue
                if sample is None or posixpath.join(folder, stem) != sample.key:
                    if sample is not None:
                        yield sample
                    sample = _Sample(posixpath.join(folder, stem))
                sample.add(ending.lower(), member)
        except (tarfile.TarError, OSError):
            if sample is not None:  # whose members came before the damage
                yield sample
            raise
        if sample is not None:
            yield sample

    def _members(self) -> Iterator[tarfile.TarInfo]:
        with open(self.word, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                vars(archive)["members"].clear()  # which would grow with every member
                yield member
            _check_end(file, archive.offset)


def _check_end(file: BinaryIO, offset: int) -> None:
    """tarfile takes a damaged header for the end; the true end is empty."""
    file.seek(offset)
    if any(file.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("a damaged header")
