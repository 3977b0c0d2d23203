"""Class names as long as real ones, which say nothing: a step's time depends on their lengths."""

from collections.abc import Iterator
from itertools import product
from string import ascii_lowercase

from crossprompt.clip.tokenizer import Tokenizer

IMAGENET_TOKENS = {1: 246, 2: 508, 3: 154, 4: 50, 5: 22, 6: 10, 7: 8, 9: 1, 12: 1}
"""Tokens of a class name to how many of ImageNet's 1,000 names, as CoOp has them, have as many."""


def made_up_names(classes: int, tokenizer: Tokenizer) -> list[str]:
    """So many different names, whose lengths in tokens are spread as those of ImageNet's classes.

    Args:
        classes: how many.
        tokenizer: whose tokens count. If it knows too few words, some names are a token longer.
    """
    words = [word for word in _letters(1, 2) if len(tokenizer.encode(word)) == 1]
    of_length: dict[int, Iterator[str]] = {}

    def next_of(length: int) -> str:
        names = of_length.setdefault(length, map(" ".join, product(words, repeat=length)))
        return next(names, "") or next_of(length + 1)

    lengths = [length for length, count in IMAGENET_TOKENS.items() for _ in range(count)]
    return [next_of(lengths[number * len(lengths) // classes]) for number in range(classes)]


def _letters(*counts: int) -> Iterator[str]:
    for count in counts:
        yield from map("".join, product(ascii_lowercase, repeat=count))
