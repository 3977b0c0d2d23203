"""CoOp's split files: ``{"train": [[path, label, class name], …], "val": …, "test": …}``.

Zhou et al., IJCV 2022, https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md. The order of the
lists matters: it decides which images a few-shot set draws.
"""

import json
from pathlib import Path
from typing import Any

from crossprompt.data.division import Row
from crossprompt.data.place import read_text
from crossprompt.errors import RequestError

SPLITS = ("train", "val", "test")


def read_split_file(path: Path) -> dict[str, list[Row]]:
    """Read the rows of each split.

    Args:
        path: a JSON file.

    Raises:
        RequestError: it is missing or not as described.
    """
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{path} is no JSON ({error}); get it again") from error
    if not isinstance(content, dict) or any(split not in content for split in SPLITS):
        raise RequestError(f"{path} is no split file; expected lists called {', '.join(SPLITS)}")
    return {split: [_row(entry, path) for entry in content[split]] for split in SPLITS}


def _row(entry: Any, path: Path) -> Row:
    match entry:
        case [str(image), int(label), str(name)] if label >= 0:
            return Row(image, label, name)
    raise RequestError(f"{path} holds {entry!r:.80}; expected [path, label, class name]")
