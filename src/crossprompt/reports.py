"""What a training tells of itself, step by step and epoch by epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch; a line of ``log.jsonl``."""

    epoch: int
    """Counted from 1."""
    epochs: int
    """In all."""
    loss: float
    """Mean over the steps."""
    lr: float
    """Learning rate of the epoch's first step."""
    images_per_second: float
    """Over the epoch and all processes."""


@dataclass(frozen=True)
class StepReport:
    """One finished step, for progress bars."""

    step: int
    """Counted from 1 over the whole training."""
    steps: int
    """In all."""
    loss: float
    """Of this step, over all processes."""
    lr: float
    """Learning rate."""
    images: int
    """In the step, over all processes."""
