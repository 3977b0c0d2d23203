"""Counts the work of both towers: tokens that pass through their blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from crossprompt.clip.model import CLIP


@dataclass
class Counts:
    """Counts of one tower, one for each block."""

    calls: list[int]
    """Calls of the block."""
    entered: list[int]
    """Input tokens, which become keys and values."""
    answered: list[int]
    """Tokens whose new activations were computed: the rows of the MLP."""


@dataclass
class Work:
    """Counts of both towers."""

    image: Counts
    text: Counts
    handles: list[Any] = field(default_factory=list, repr=False)

    @property
    def text_encodings(self) -> int:
        """Most calls of any block of the text tower, at most one per encoding."""
        return max(self.text.calls)


@contextmanager
def count_work(clip: CLIP) -> Iterator[Work]:
    """Count the work of the blocks while the context is open."""
    towers = (clip.image.blocks, clip.text.blocks)
    image, text = (Counts(*([0] * len(blocks) for _ in range(3))) for blocks in towers)
    work = Work(image, text)
    for blocks, counts in zip(towers, (work.image, work.text), strict=True):
        for depth, block in enumerate(blocks):
            work.handles += _watch(block, counts, depth)
    try:
        yield work
    finally:
        for handle in work.handles:
            handle.remove()


def _watch(block: nn.Module, counts: Counts, depth: int) -> list[Any]:
    def enter(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        tokens = arguments[0]
        counts.calls[depth] += 1
        counts.entered[depth] += _rows(getattr(tokens, "activations", tokens))

    def answer(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        counts.answered[depth] += _rows(arguments[0])

    return [
        block.register_forward_pre_hook(enter),
        block.mlp.register_forward_pre_hook(answer),
    ]


def _rows(x: Tensor) -> int:
    """Tokens, whatever the axes before the width."""
    return x.shape[:-1].numel()
