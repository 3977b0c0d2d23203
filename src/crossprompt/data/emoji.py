"""The ``emoji`` data set: 32 kinds of things, each drawn in three styles, from three openly
licensed packages.

The source style is Twemoji; the shifted styles are OpenMoji and line art. Which emoji are in it is
fixed in ``emoji.json``; none of them was in the embedded model's pre-training, in any style.
"""

import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from filelock import FileLock
from PIL import Image

from crossprompt.data.emoji_art import STYLES, draw
from crossprompt.data.items import Dataset, Item, Split
from crossprompt.replacing import replace_file

SOURCE = "twemoji"
"""The style of the training images."""
SHIFTED = tuple(style for style in STYLES if style != SOURCE)
"""The styles of the other test images."""
TEMPLATE = "a photo of a {}."
"""The sentence for a kind, among those that the embedded model was trained with."""
SIDE = 144
"""Height and width of an image in pixels."""


@cache
def read_split() -> dict[str, dict[str, list[str]]]:
    """Kind to split to code points, as committed."""
    text = files("crossprompt.data").joinpath("emoji.json").read_text("utf-8")
    listed: dict[str, Any] = json.loads(text)
    return listed["classes"]


def load_emoji(root: str | os.PathLike[str] | None = None) -> Dataset:
    """Draw the pictures, once, and list them.

    Args:
        root: folder for the pictures; the user's cache folder by default.

    Raises:
        RequestError: one of the packages with the art is not installed.
    """
    folder = Path(root) if root is not None else _cache_folder()
    classes = read_split()

    def list_split(style: str, split: str) -> Split:
        return Split(
            tuple(
                Item(drawn_picture(style, code, folder), label)
                for label, kind in enumerate(classes)
                for code in classes[kind][split]
            )
        )

    return Dataset(
        name="emoji",
        class_names=tuple(classes),
        train=list_split(SOURCE, "train"),
        val=list_split(SOURCE, "val"),
        test=list_split(SOURCE, "test"),
        shifted={style: list_split(style, "test") for style in SHIFTED},
        template=TEMPLATE,
        root=folder,
    )


def drawn_picture(style: str, code: str, folder: Path | None = None) -> Path:
    """The picture of an emoji, drawn if it is not there yet.

    Args:
        style: one of ``STYLES``.
        code: its code point, hexadecimal.
        folder: for the pictures; the user's cache folder by default.

    Raises:
        RequestError: the package with the art is not installed.
    """
    path = (folder or _cache_folder()) / style / f"{code}.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(".lock")):  # of several processes, one draws
            if not path.exists():
                _draw_file(style, code, path)
    return path


def _draw_file(style: str, code: str, path: Path) -> None:
    picture = draw(style, code).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    replace_file(path, lambda partial: white.convert("RGB").save(partial, format="PNG"))


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crossprompt" / "emoji"
