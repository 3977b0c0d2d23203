"""A few-shot set as positions in a data set's lists: JSON that draws the same images anywhere."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from crossprompt.errors import RequestError

_FORMAT = {"format": "crossprompt-selection", "version": 1}


@dataclass(frozen=True)
class Selection:
    """Which images of a data set are a few-shot set."""

    fingerprint: str
    """Of the data set that was drawn from."""
    shots: int
    """Images of a class."""
    seed: int
    """Of the draw."""
    nested: bool
    """Whether sets of fewer shots lie in those of more."""
    train: tuple[int, ...]
    """Positions in the training list, in the order drawn."""
    val: tuple[int, ...]
    """Positions in the validation list, in the order drawn."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file."""
        Path(path).write_text(json.dumps({**_FORMAT, **asdict(self)}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Selection":
        """Read what ``save`` wrote.

        Raises:
            RequestError: the file is missing, damaged, or no selection of this version.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RequestError(f"cannot read the selection {path}: {error.strerror}") from error
        except ValueError as error:  # not JSON, or not even text
            raise RequestError(f"{path} is not a selection of images: {error}") from error
        found = content if isinstance(content, dict) else {}
        if (header := {key: found.pop(key, None) for key in _FORMAT}) != _FORMAT:
            raise RequestError(
                f"{path} is not a selection of images: it begins with {header}, not {_FORMAT}"
            )
        return cls(**_entries(found, path))


def _entries(found: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    names = {field.name for field in fields(Selection)}
    if found.keys() != names:
        raise RequestError(f"{path} holds the entries {sorted(found)}; expected {sorted(names)}")
    for name, value in found.items():
        expected = {"fingerprint": str, "nested": bool, "train": list, "val": list}.get(name, int)
        positions = value if isinstance(value, list) else []
        if type(value) is not expected or any(type(x) is not int or x < 0 for x in positions):
            raise RequestError(
                f"{path}: the entry {name!r} does not hold what a selection holds there"
            )
    return found | {"train": tuple(found["train"]), "val": tuple(found["val"])}
