"""Captions of the pre-training pictures, and the pictures that each caption is true of."""

import random
from dataclasses import dataclass

import numpy as np

WORD_SHARE = 1 / 4
"""Fraction of captions that are another word for the emoji, from Unicode's annotations."""

TEMPLATES = (
    "a photo of a {}.",
    "a picture of a {}.",
    "a drawing of a {}.",
    "an emoji of a {}.",
    "an icon of a {}.",
    "{}",
)


LONG_TEMPLATES = (
    "this is a small and simple picture of a {}.",
    "here you can see what people draw when they think of a {}.",
    "one of the many little pictures that are sent in messages, which shows a {}.",
    "a drawing, not a photo, in a few lines and colors, of what is called a {}.",
)
"""Templates of the second stage, with the name at positions that a prompt may shift it to."""
LONG_SHARE = 1 / 4
"""Fraction of the second stage's captions that are long."""
RARE_WORD_SHARE = 0.01
"""``WORD_SHARE`` of the second stage, small because other words teach kinds."""


@dataclass(frozen=True)
class Captions:
    """Draws captions for emoji, given by their row in the pre-training list.

    Args:
        emoji: entries with ``name``, ``kind`` (or None) and ``words``.
    """

    emoji: list[dict]

    def draw(self, rows: list[int], generator: random.Random) -> tuple[list[str], np.ndarray]:
        """Draw one caption per row, and a ``[rows, captions]`` table of true pairs."""
        drawn = [self._draw(self.emoji[row], generator) for row in rows]
        table = [[self.is_true(caption, self.emoji[row]) for caption in drawn] for row in rows]
        return [generator.choice(TEMPLATES).format(text) for _, text in drawn], np.array(table)

    def _draw(self, entry: dict, generator: random.Random) -> tuple[str, str]:
        if entry["words"] and generator.random() < WORD_SHARE:
            return "words", generator.choice(entry["words"])
        return "name", entry["name"]

    @staticmethod
    def is_true(caption: tuple[str, str], entry: dict) -> bool:
        """Check a drawn caption against an emoji."""
        part, text = caption
        return text in entry["words"] if part == "words" else text == entry[part]


def draw_names(entries: list[dict], generator: random.Random) -> tuple[list[str], np.ndarray]:
    """Draw the second stage's captions, one for each entry.

    Args:
        entries: of the pre-training list, one per picture.
        generator: source of every random choice.

    Returns:
        The captions, and a ``[entries, captions]`` table of true pairs.
    """
    drawn, texts = [], []
    for entry in entries:
        caption = ("name", entry["name"])
        if generator.random() > 1 - RARE_WORD_SHARE and entry["words"]:
            caption = ("words", generator.choice(entry["words"]))
        long = generator.random() < LONG_SHARE
        template = generator.choice(LONG_TEMPLATES if long else TEMPLATES)
        drawn.append(caption)
        texts.append(template.format(caption[1]))
    table = [[Captions.is_true(caption, entry) for caption in drawn] for entry in entries]
    return texts, np.array(table)
