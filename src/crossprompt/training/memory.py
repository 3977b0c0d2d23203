"""Activation checkpointing, chosen from the memory that a training step needs.

A block can keep only its input and recompute its activations in the backward pass (Chen et al.,
2016, https://arxiv.org/abs/1604.06174): the result is the same to the bit, for one more forward
pass of that tower. The text tower can also work on some classes at a time, as texts do not see one
another.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from crossprompt.clip.blocks import Block, TextBlock
from crossprompt.clip.model import CLIP
from crossprompt.utils import distributed

GB = 1e9
OPTIMIZER = 3
"""Tensors beside each parameter: its gradient and at most two of the optimizer."""


@dataclass(frozen=True)
class Recompute:
    """Level of activation checkpointing."""

    text: bool = False
    """Recompute the activations of the text tower's blocks."""
    image: bool = False
    """Recompute the activations of the image tower's blocks."""
    most_tokens: int | None = None
    """Text tokens that are worked on at once; None for all."""

    def in_words(self) -> str:
        """Summary for the user."""
        towers = [name for name in ("text", "image") if getattr(self, name)]
        parts = "" if self.most_tokens is None else f", {self.most_tokens} text tokens at a time"
        return f"the {' and '.join(towers)} tower's activations are recomputed{parts}"


LEVELS = (
    Recompute(),
    Recompute(text=True),
    Recompute(text=True, most_tokens=4096),
    Recompute(text=True, image=True, most_tokens=4096),
    Recompute(text=True, image=True, most_tokens=512),
)
"""From the fastest to the smallest."""


@dataclass
class Tower:
    """Bytes that a tower's blocks hold in a step, by the number of the block."""

    inputs: list[int]
    inner: list[int]
    """Activations that the gradient needs, the input included."""
    tokens: int = 0
    """Most tokens that go into a block."""

    def kept(self, recompute: bool) -> int:
        """Bytes held between forward and backward pass."""
        return sum(self.inputs if recompute else self.inner)

    def working(self, most_tokens: int | None) -> float:
        """Bytes of one block while it works: about as many again as the gradient needs."""
        share = 1.0 if most_tokens is None else min(1.0, most_tokens / max(self.tokens, 1))
        return max(self.inner, default=0) * share


@dataclass
class Kept:
    """Bytes that a step holds beside weights and libraries."""

    image: Tower
    text: Tower
    elsewhere: int = 0
    """Outside the towers' blocks."""

    def peak(self, recompute: Recompute) -> float:
        """Peak bytes with a level of activation checkpointing."""
        most_tokens = recompute.most_tokens if recompute.text else None
        working = max(self.image.working(None), self.text.working(most_tokens))
        towers = self.image.kept(recompute.image) + self.text.kept(recompute.text)
        return self.elsewhere + towers + working


def choose_recompute(
    loss: Callable[[], Tensor], method: nn.Module, clip: CLIP, limit: float | None
) -> tuple[Recompute, float]:
    """Choose the fastest level within a limit, or the smallest if none is within it.

    Args:
        loss: of a training step; it is computed once, without keeping activations.
        method: to be trained.
        clip: the frozen backbone.
        limit: bytes of the whole process, on CUDA those allocated on the device; by default all
            that there are, divided evenly among the processes.

    Returns:
        The level and its estimated peak in bytes.
    """
    limit = total_memory(clip.device) / distributed.processes() if limit is None else limit
    parameters = sum(x.numel() * x.element_size() for x in method.parameters())
    held = held_memory(clip.device) + OPTIMIZER * parameters
    kept = count_kept(loss, method, clip)
    peaks = {level: held + kept.peak(level) for level in LEVELS}
    within = [level for level, peak in peaks.items() if peak <= limit]
    chosen = within[0] if within else min(peaks, key=lambda level: peaks[level])
    return chosen, peaks[chosen]


@contextmanager
def applied(clip: CLIP, recompute: Recompute) -> Iterator[None]:
    """Set the level of the blocks for the time of the context."""
    _apply(clip, recompute)
    try:
        yield
    finally:
        _apply(clip, Recompute())


def _apply(clip: CLIP, recompute: Recompute) -> None:
    for block in (*clip.image.blocks, *clip.text.blocks):
        match block:
            case TextBlock():
                block.recompute, block.most_tokens = recompute.text, recompute.most_tokens
            case Block():
                block.recompute = recompute.image


def count_kept(loss: Callable[[], Tensor], method: nn.Module, clip: CLIP) -> Kept:
    """Count the bytes that the gradient of a loss needs, without keeping them."""
    towers = (clip.image.blocks, clip.text.blocks)
    image, text = (Tower([0] * len(blocks), [0] * len(blocks)) for blocks in towers)
    counter = _Counter(Kept(image, text))
    for x in (*method.parameters(), *clip.parameters(), *clip.buffers()):
        counter.is_new(x)
    with ExitStack() as stack:
        for blocks, tower in zip(towers, (image, text), strict=True):
            for number, block in enumerate(blocks):
                counter.watch(block, tower, number, stack)
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(counter.add, _gone))
        loss()
    return counter.kept


@dataclass
class _Counter:
    """Adds up what is saved for the backward pass, each piece of memory once."""

    kept: Kept
    place: tuple[Tower, int] | None = None
    """The block that is at work."""
    seen: dict[int, StorageWeakRef] = field(default_factory=dict)

    def watch(self, block: nn.Module, tower: Tower, number: int, stack: ExitStack) -> None:
        def enter(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            if not torch.is_grad_enabled():
                return  # nothing of it is kept
            activations = getattr(arguments[0], "activations", arguments[0])
            tower.inputs[number] += activations.numel() * activations.element_size()
            tower.tokens = max(tower.tokens, activations.shape[:-1].numel())
            self.place = (tower, number)

        def leave(*_: object) -> None:
            self.place = None

        stack.callback(block.register_forward_pre_hook(enter).remove)
        stack.callback(block.register_forward_hook(leave).remove)

    def add(self, tensor: Tensor) -> None:
        if not self.is_new(tensor):
            return
        size = tensor.untyped_storage().nbytes()
        if self.place is None:
            self.kept.elsewhere += size
        else:
            tower, number = self.place
            tower.inner[number] += size

    def is_new(self, tensor: Tensor) -> bool:
        """True if its memory was not seen before, or was given to others since."""
        reference = StorageWeakRef(tensor.untyped_storage())
        known = self.seen.get(reference.cdata)
        self.seen[reference.cdata] = reference
        return known is None or known.expired()


def _gone(_: None) -> Tensor:
    raise RuntimeError("nothing was kept: this loss was computed only to count")


def held_memory(device: torch.device) -> float:
    """Bytes in use now: weights, and on a CPU the libraries too."""
    if device.type == "cuda":
        return float(torch.cuda.memory_allocated(device))
    return float(psutil.Process().memory_info().rss)


def total_memory(device: torch.device) -> float:
    """Bytes of the device, or of its machine if it has no memory of its own."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(psutil.virtual_memory().total)
