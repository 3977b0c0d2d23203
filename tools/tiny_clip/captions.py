"""Captions of the pre-training pictures, and which pictures each caption is true of."""

import random
from dataclasses import dataclass

import numpy as np

WORD_SHARE = 1 / 4
"""Share of captions that say only one other word for it, from Unicode's annotations."""

TEMPLATES = (
    "a photo of a {}.",
    "a picture of a {}.",
    "a drawing of a {}.",
    "an emoji of a {}.",
    "an icon of a {}.",
    "{}",
)


@dataclass(frozen=True)
class Captions:
    """Draws captions for emoji, given by their row in the pre-training list.

    Args:
        emoji: entries with ``name``, ``kind`` (or None) and ``words``.
    """

    emoji: list[dict]

    def draw(self, rows: list[int], generator: random.Random) -> tuple[list[str], np.ndarray]:
        """One caption per row, and a ``[rows, captions]`` table of what each caption is true of."""
        drawn = [self._draw(self.emoji[row], generator) for row in rows]
        table = [[self.is_true(caption, self.emoji[row]) for caption in drawn] for row in rows]
        return [generator.choice(TEMPLATES).format(text) for _, text in drawn], np.array(table)

    def _draw(self, entry: dict, generator: random.Random) -> tuple[str, str]:
        if entry["words"] and generator.random() < WORD_SHARE:
            return "words", generator.choice(entry["words"])
        return "name", entry["name"]

    @staticmethod
    def is_true(caption: tuple[str, str], entry: dict) -> bool:
        """Whether a drawn caption says something true of an emoji."""
        part, text = caption
        return text in entry["words"] if part == "words" else text == entry[part]
