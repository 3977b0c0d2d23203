"""Reads every image once, before any is needed, so that all bad ones are reported together."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from crossprompt.data.images import BadImage, UnreadableImageError, read_image
from crossprompt.errors import RequestError
from crossprompt.utils.text import indented

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""

_BATCH = 256


def check_images(
    paths: Sequence[Path],
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> list[BadImage]:
    """Read every image once and return those that cannot be read, in the order of ``paths``.

    Args:
        paths: image files; one given twice is read once.
        skip_bad: return the bad ones without raising.
        progress: called with (images done, images in all) after every image.

    Raises:
        RequestError: there are bad images and ``skip_bad`` is false; up to 20 are listed, each with
            its reason.
    """
    paths = list(dict.fromkeys(paths))
    bad = []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for done, found in enumerate(_each(pool, paths), start=1):
            if found:
                bad.append(found)
            if progress:
                progress(done, len(paths))
    if bad and not skip_bad:
        raise RequestError(
            f"{len(bad)} of {len(paths)} images cannot be read; repair or remove them, "
            f"or leave them out with --skip-bad-images (skip_bad_images=True):\n{list_bad(bad)}"
        )
    return bad


def list_bad(bad: Sequence[BadImage]) -> str:
    """A line for each of the first 20 bad images and the number of the others."""
    return indented([f"{image.path}: {image.reason}" for image in bad])


def _each(pool: ThreadPoolExecutor, paths: Sequence[Path]) -> Iterator[BadImage | None]:
    waiting = iter(paths)
    # a batch at a time, so that Ctrl-C need not wait for all
    while batch := list(islice(waiting, _BATCH)):
        yield from pool.map(_check, batch)


def _check(path: Path) -> BadImage | None:
    try:
        read_image(path, enough=1)  # every byte is decoded, but to few pixels
    except UnreadableImageError as error:
        return error.bad
    return None
