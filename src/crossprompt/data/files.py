"""Walks folders in the same order on every system, and finds files of equal content."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from crossprompt.utils.files import hash_file

_SYSTEM_FILES = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r")
)


def is_visible(name: str) -> bool:
    """False for hidden files and folders, and those that an operating system leaves behind."""
    return not name.startswith(".") and name.lower() not in _SYSTEM_FILES


def sort_key(name: str) -> tuple[str, str]:
    """Orders names by code point after composing accents, which some file systems store apart."""
    return unicodedata.normalize("NFC", name), name


def list_folders(folder: Path) -> list[Path]:
    """The visible folders directly in a folder, sorted by name; links are followed."""
    found = (folder / entry.name for entry in _visible(folder) if entry.is_dir())
    return sorted(found, key=lambda path: sort_key(path.name))


def walk(folder: str | os.PathLike[str], recursive: bool = True) -> Iterator[str]:
    """The visible files in a folder, sorted by their path; links are followed, broken ones listed.

    Only the names in one folder, and in those above it, are held in memory.
    """
    return _walk(os.fspath(folder), (os.path.realpath(folder),), recursive)


def list_files(folder: Path, recursive: bool = True) -> list[Path]:
    """``walk`` as a list of paths."""
    return [Path(path) for path in walk(folder, recursive)]


def find_equal(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of two or more files of the same bytes; only files of equal size are read."""
    of_size = defaultdict(list)
    groups = defaultdict(list)
    for path in paths:
        with suppress(OSError):  # the check of the images reports it, and empty files
            of_size[path.stat().st_size].append(path)
    for size, candidates in of_size.items():
        for path in candidates if size and len(candidates) > 1 else ():
            with suppress(OSError):
                groups[hash_file(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]


def _visible(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if is_visible(entry.name)]


def _walk(folder: str, ancestors: tuple[str, ...], recursive: bool) -> Iterator[str]:
    # a folder is sorted as its files' paths are: "a.png" comes before "a/b.png"
    names = [f"{x.name}/" if x.is_dir() else x.name for x in _visible(folder)]
    for name in sorted(names, key=sort_key):
        path = os.path.join(folder, name.removesuffix("/"))
        if not name.endswith("/"):
            yield path
        elif recursive and (real := os.path.realpath(path)) not in ancestors:  # else endless
            yield from _walk(path, (*ancestors, real), recursive)
