"""Finds image files: walks folders in the same order on every system."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

_ENDINGS = (
    "jpg jpeg jpe jfif png apng gif bmp dib webp tif tiff ppm pgm pbm pnm tga ico "
    "jp2 j2k jpx avif avifs heic heif qoi pcx sgi dds"
)
EXTENSIONS = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Endings of image files; one that Pillow cannot read is reported, not skipped."""
_SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r")


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


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """All files in a folder and the folders in it that end as images do, sorted by their path."""
    return [Path(path) for path in walk(folder) if is_image_name(path)]


def is_image_name(path: str) -> bool:
    """True if a path, or a file's name, ends as an image's does."""
    return os.path.splitext(path)[1].lower() in EXTENSIONS


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
