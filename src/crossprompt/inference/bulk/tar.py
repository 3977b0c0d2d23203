"""Images in WebDataset's tar shards.

Python's ``tarfile`` reads the headers alone; each image is read when its turn comes. The webdataset
library does the same, but imports torch, which an exported classifier does without, and runs names
such as "pipe:…" as commands.
"""

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from PIL.Image import Image

from crossprompt.data.files import is_image_name, is_visible
from crossprompt.data.images import UndecodableImageError, decode_image
from crossprompt.errors import RequestError
from crossprompt.inference.base import Input
from crossprompt.inference.bulk.sources import Broken, TableSource


@dataclass(frozen=True)
class Slice(Input):
    """An image file's bytes within a larger file."""

    path: str
    offset: int
    size: int

    def read(self, enough: int | None = None) -> Image:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            found = f"{len(content):,} of {self.size:,} bytes"
            raise UndecodableImageError(f"{Path(self.path).name} ends early: {found} are there")
        return decode_image(BytesIO(content), enough)

    def version(self) -> str:
        return f"{self.offset}+{self.size}"


class Member(NamedTuple):
    """A file in a shard; its name is ``key.extension``, split at the first dot."""

    key: str
    extension: str
    offset: int
    size: int


class TarShard(TableSource):
    """A tar file with one image for each key.

    Args:
        word: the file.
        column: extension of the image to take where a key has several.

    Raises:
        RequestError: it cannot be read, or is no tar file, or a compressed one.
    """

    def __init__(self, word: str, column: str | None = None) -> None:
        super().__init__(word)
        self._extension = None if column is None else column.lower().lstrip(".")
        try:
            tarfile.open(word, "r:").close()
        except (OSError, tarfile.TarError) as error:
            raise RequestError(
                f"cannot read {word} as a tar file ({error}); unpack it first if it is compressed"
            ) from error

    def __iter__(self) -> Iterator[Input]:
        """One image for each key; a damaged shard ends with an error in place of its rest."""
        keys = 0
        damage: list[Exception] = []
        for key, members in groupby(self._members(damage), attrgetter("key")):
            keys += 1
            yield self._input(key, list(members))
        if damage:
            reason = f"damaged; what follows is lost: {damage[0]}"
            yield Broken(self.name(f"after {keys} keys"), reason)

    def _input(self, key: str, members: list[Member]) -> Input:
        images = {x.extension: x for x in members if is_image_name(f"{x.key}.{x.extension}")}
        taken = [x for x in images.values() if self._extension in (None, x.extension)]
        there = ", ".join(f".{member.extension}" for member in members)
        if not taken:
            return Broken(self.name(key), f"no image among {there}")
        if len(taken) > 1:
            return Broken(self.name(key), f"several images, {there}; say which with --column")
        return Slice(self.name(key), self.word, taken[0].offset, taken[0].size)

    def _members(self, damage: list[Exception]) -> Iterator[Member]:
        """Visible files up to the end or the first damage, which is added to a list."""
        try:
            with open(self.word, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
                while (found := archive.next()) is not None:
                    vars(archive)["members"].clear()  # the list would grow with every member
                    folder, name = posixpath.split(found.name)
                    stem, _, extension = name.partition(".")
                    if found.isfile() and is_visible(name):
                        key = posixpath.join(folder, stem)
                        yield Member(key, extension.lower(), found.offset_data, found.size)
                file.seek(archive.offset)
                if any(file.read(tarfile.BLOCKSIZE)):  # the true end is empty
                    raise tarfile.ReadError("a damaged header")
        except (tarfile.TarError, OSError) as error:
            damage.append(error)
