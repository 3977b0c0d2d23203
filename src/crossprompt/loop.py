"""The one training loop, for every method and for any number of data sets."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.errors import JobError
from crossprompt.methods.base import Recipe
from crossprompt.optimiser import learning_rate
from crossprompt.progress import EpochReport, StepReport
from crossprompt.state import TrainingState

Batch = TypeVar("Batch")
"""What a step learns from."""


@dataclass(frozen=True)
class Steps(Generic[Batch]):
    """What the loop repeats."""

    batches: Callable[[int], Iterable[Batch]]
    """Those of an epoch, counted from 1."""
    backward: Callable[[Batch], float]
    """Leaves the gradients of a batch in the parameters and says its loss, over all processes."""
    count: int
    """In an epoch."""
    images: int
    """In a step, over all processes."""
    seed: int
    """Of what a method draws in a step."""


@dataclass(frozen=True)
class Loop(Generic[Batch]):
    """A training, from the last good epoch that is kept."""

    steps: Steps[Batch]
    methods: Sequence[nn.Module]
    """Which are trained."""
    clip: CLIP
    """The frozen backbone."""
    recipe: Recipe
    """Whose learning rates they are, and how many epochs."""
    state: TrainingState
    """Of all that is learned, with its optimiser."""
    on_step: Callable[[StepReport], None] | None = None
    """Called after every step."""
    on_epoch: Callable[[EpochReport], None] | None = None
    """Called after every epoch."""

    def run(self, resume: bool) -> list[EpochReport]:
        """Every epoch, or those that are left.

        Args:
            resume: go on from the state.

        Returns:
            One report per epoch, those before an interruption included.

        Raises:
            RequestError: the state is damaged or of another training.
            JobError: the loss is not finite; the state of the last good epoch is kept.
        """
        state, averaging = self.state, self.state.averaging
        reports = [EpochReport(**line) for line in state.begin(resume)]
        with in_training(self.methods, self.clip.device):
            for epoch in range(len(reports) + 1, self.recipe.epochs + 1):
                reports.append(self._epoch(epoch))
                if averaging is not None:
                    averaging.add(epoch)
                state.keep(reports)
                if self.on_epoch is not None:
                    self.on_epoch(reports[-1])
        return reports

    def _epoch(self, epoch: int) -> EpochReport:
        """Every step of an epoch, counted from 1."""
        steps, recipe = self.steps, self.recipe
        began, losses, first_lr = time.perf_counter(), list[float](), learning_rate(epoch, recipe)
        for number, batch in enumerate(steps.batches(epoch), start=1):
            step, lr = (epoch - 1) * steps.count + number, self._set_learning_rate(epoch, number)
            # for methods with dropout, which draw from the global generator
            torch.manual_seed(steps.seed * 1_000_003 + step)
            losses.append(self._step(batch, epoch, number))
            if self.on_step is not None:
                in_all = steps.count * recipe.epochs
                self.on_step(StepReport(step, in_all, losses[-1], lr, steps.images))
        rate = steps.count * steps.images / (time.perf_counter() - began)
        if not all(bool(x.isfinite().all()) for x in self.state.method.parameters()):
            raise self._diverged(f"a learned tensor is not finite after epoch {epoch}", epoch)
        loss = sum(losses) / len(losses)
        return EpochReport(epoch, recipe.epochs, loss, first_lr, round(rate, 2))

    def _set_learning_rate(self, epoch: int, number: int) -> float:
        lr = learning_rate(epoch, self.recipe, (number - 1) / self.steps.count)
        for group in self.state.optimiser.param_groups:
            group["lr"] = lr
        return lr

    def _step(self, batch: Batch, epoch: int, number: int) -> float:
        self.state.optimiser.zero_grad(set_to_none=True)
        loss = self.steps.backward(batch)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss} in epoch {epoch}, step {number}", epoch)
        self.state.optimiser.step()
        return loss

    def _diverged(self, what: str, epoch: int) -> JobError:
        keeps = self.state.folder is not None
        kept = f"; the state of epoch {epoch - 1} is kept" if keeps and epoch > 1 else ""
        precise = "" if self.clip.dtype == torch.float32 else " or --dtype fp32"
        afresh = ", with --overwrite" if keeps else ""
        return JobError(f"{what}{kept}; try a lower learning rate (--lr){precise}{afresh}")


@contextmanager
def in_training(methods: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Methods in training mode, and the global generators as they were when it is over."""
    for method in methods:
        method.train()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for method in methods:
            method.eval()
