"""Progress reporting: step and epoch records, and the ``Reporter`` interface."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

NOTE = "note: "
"""Prefix of a message that is no error."""


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch; a record of ``log.jsonl``."""

    epoch: int
    """Number of the epoch, from 1."""
    epochs: int
    loss: float
    """Mean loss of the steps."""
    lr: float
    """Learning rate of the first step."""
    images_per_second: float
    """Training images per second, over all processes."""


@dataclass(frozen=True)
class StepReport:
    """One finished step, for progress bars."""

    step: int
    """Number of the step, from 1 over the whole training."""
    steps: int
    loss: float
    """Mean loss over all processes."""
    lr: float
    images: int
    """Images of the step, over all processes."""


@runtime_checkable
class Reporter(Protocol):
    """Receiver of a job's progress, for example a terminal."""

    def say(self, text: str) -> None: ...
    def step(self, report: StepReport) -> None: ...
    def count(self, what: str) -> Callable[[int, int], None]:
        """Start a counter; call it with (done, total)."""


class Silent:
    """Reporter that shows nothing."""

    def say(self, text: str) -> None: ...
    def step(self, report: StepReport) -> None: ...
    def count(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: None
