"""What a job tells of itself, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

NOTE = "note: "
"""Begins what a user should know, beside what is done."""


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


@runtime_checkable
class Reporter(Protocol):
    """Who is told how the job goes: a terminal, a log, or nobody."""

    def say(self, text: str) -> None:
        """A sentence for the user."""

    def count(self, what: str) -> Callable[[int, int], None]:
        """A counter to call with (done, in all)."""

    def step(self, report: StepReport) -> None:
        """A training step is done."""


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Nothing."""

    def count(self, what: str) -> Callable[[int, int], None]:
        """Nothing."""
        return lambda done, total: None

    def step(self, report: StepReport) -> None:
        """Nothing."""
