"""Class names: made from labels or given by the user; no two may be easily confused."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from crossprompt.errors import RequestError
from crossprompt.utils.files import read_lines
from crossprompt.utils.text import listed

ClassNames = str | os.PathLike[str] | Sequence[str] | Mapping[str, str] | None
"""A file of names, the names of the sorted labels in order, or names for some of the labels."""


def name_classes(labels: Sequence[str], given: ClassNames = None) -> tuple[str, ...]:
    """The class name of each label.

    A file holds a line per class (UTF-8; empty lines do not count), either names in the order of
    the sorted labels, or ``label: name`` for any of the labels. It is read the second way if a line
    begins with a label and a colon.

    Args:
        labels: folder names, or labels of a CSV file, sorted, with composed accents (see
            ``composed``).
        given: names that stand for those the labels would give.

    Raises:
        RequestError: names are too many, too few, of unknown labels, empty, or alike but for case,
            ``_`` and spaces.
    """
    if isinstance(given, str | os.PathLike):
        given = _read(Path(given), labels)
    if given is None or isinstance(given, Mapping):
        given = {composed(label): name for label, name in (given or {}).items()}
        if unknown := sorted(given.keys() - set(labels)):
            raise RequestError(
                f"class names are given for {listed(unknown)}, but the classes are {listed(labels)}"
            )
        names = [given.get(label, readable(label)) for label in labels]
    elif len(given) == len(labels):
        names = list(given)
    else:
        raise RequestError(
            f"{len(given)} class names are given, but there are {len(labels)} classes: "
            f"{listed(labels)}"
        )
    seen: dict[str, str] = {}
    for label, name in zip(labels, names, strict=True):
        if not name.strip():
            raise RequestError(f"class {label!r} has an empty name; give it one that has words")
        if (other := seen.setdefault(readable(name).casefold(), label)) != label:
            raise RequestError(
                f"the classes {other!r} and {label!r} are both called {name!r}, but for case and "
                "spaces; merge them, or rename one"
            )
    return tuple(names)


def composed(text: str) -> str:
    """The text with letter and accent as one character; some file systems store them apart."""
    return unicodedata.normalize("NFC", text)


def readable(label: str) -> str:
    """A label as words: ``_`` becomes a space."""
    return " ".join(composed(label).replace("_", " ").split())


def check_class_names(class_names: Any) -> None:
    """``RequestError`` unless they are at least two texts, none of them blank or there twice."""
    if isinstance(class_names, (Set, Mapping, Iterator)):  # a set's order differs from run to run
        raise RequestError(
            f"class names are a {type(class_names).__name__}, expected a list in the order of the "
            "labels"
        )
    if isinstance(class_names, str) or len(class_names) < 2:
        raise RequestError(
            f"class names are {class_names!r:.80}, expected a list of at least two to tell apart"
        )
    for name, count in Counter(class_names).items():
        if not isinstance(name, str) or not name.strip():
            raise RequestError(f"found class name {name!r}, expected a text that is not blank")
        if count > 1:
            raise RequestError(
                f"class name {name!r} stands for {count} classes; rename all but one"
            )


def _read(path: Path, labels: Sequence[str]) -> list[str] | dict[str, str]:
    lines = read_lines(path)
    pairs = [line.partition(":") for line in lines]
    keys = [composed(label.strip()) if colon else "" for label, colon, _ in pairs]
    if not set(keys) & set(labels):
        return lines
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise RequestError(f"{path} names {twice[0]!r} twice; keep one of the lines")
    return dict(zip(keys, (name.strip() for *_, name in pairs), strict=True))
