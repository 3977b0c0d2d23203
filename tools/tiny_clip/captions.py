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


LONG_TEMPLATES = (
    "this is a small and simple picture of a {}.",
    "here you can see what people draw when they think of a {}.",
    "one of the many little pictures that are sent in messages, which shows a {}.",
    "a drawing, not a photo, in a few lines and colors, of what is called a {}.",
)
"""For the second stage: they put the name where a prompt may put it."""
LONG_SHARE = 1 / 4
"""Share of the second stage's captions that are long."""
RARE_WORD_SHARE = 0.01
"""As ``WORD_SHARE``, in the second stage: the words teach kinds."""


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


def draw_names(entries: list[dict], generator: random.Random) -> tuple[list[str], np.ndarray]:
    """The second stage's captions: one for each of ``entries``, and what each is true of.

    Args:
        entries: of the pre-training list, one per picture.
        generator: source of every random choice.

    Returns:
        The captions, and a ``[entries, captions]`` table.
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
