"""The loop over several tasks: a step lowers the mean of their losses, on a batch of each."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.errors import JobError
from crossprompt.methods.base import Recipe
from crossprompt.multitask.grouping import Groups
from crossprompt.multitask.task import Batch, Task, batches_of, steps_of
from crossprompt.optimiser import build_optimiser, learning_rate
from crossprompt.reports import EpochReport, StepReport
from crossprompt.state import TrainingState


class Learned(nn.Module):
    """All that several tasks learn, each tensor once.

    Args:
        tasks: whose methods are made to share the prompts of their groups.
        groups: positions of tasks.
    """

    def __init__(self, tasks: Sequence[Task], groups: Groups) -> None:
        super().__init__()
        shared = [tasks[group[0]].method.group for group in groups]
        for group, source in zip(groups, shared, strict=True):
            for position in group:
                tasks[position].method.group = source
        self.tasks = nn.ModuleList(task.method.task for task in tasks)
        self.groups = nn.ModuleList(source for source in shared if source is not None)


def train_tasks(
    tasks: Sequence[Task],
    groups: Groups,
    clip: CLIP,
    recipe: Recipe,
    settings: dict[str, Any],
    *,
    folder: Path | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[EpochReport]:
    """Train the tasks' methods in place; the backbone stays as it is.

    Args:
        tasks: in turn.
        groups: positions of tasks that share a prompt.
        clip: the frozen backbone.
        recipe: of all; its batch size is every task's.
        settings: plain values that the result depends on.
        folder: where ``log.jsonl`` and the state after each epoch are kept.
        resume: go on from the state in ``folder``, to the result that an uninterrupted run has.
        on_step: called after every step.

    Returns:
        One report per epoch, those before an interruption included.

    Raises:
        RequestError: the state is of another training.
        JobError: the loss is not finite; the state of the last good epoch is kept.
    """
    learned = Learned(tasks, groups)
    optimiser = build_optimiser(learned, recipe)
    state = TrainingState(folder, learned, optimiser, settings)
    reports = [EpochReport(**line) for line in state.begin(resume)]
    loop = _Loop(tasks, learned, clip, recipe, optimiser, on_step)
    for epoch in range(len(reports) + 1, recipe.epochs + 1):
        reports.append(loop.run(epoch))
        state.keep(reports)
    return reports


@dataclass(frozen=True)
class _Loop:
    """What the steps of an epoch need."""

    tasks: Sequence[Task]
    learned: Learned
    clip: CLIP
    recipe: Recipe
    optimiser: torch.optim.Optimizer
    on_step: Callable[[StepReport], None] | None

    def run(self, epoch: int) -> EpochReport:
        """Every step of an epoch, counted from 1."""
        began, losses, steps = time.perf_counter(), list[float](), steps_of(self.tasks)
        images = sum(task.plan.batch_size for task in self.tasks)
        for number, batches in enumerate(batches_of(self.tasks, epoch)):
            lr = learning_rate(epoch, self.recipe, number / steps)
            losses.append(self._step(batches, lr, epoch))
            if self.on_step is not None:
                step, all_steps = (epoch - 1) * steps + number + 1, steps * self.recipe.epochs
                self.on_step(StepReport(step, all_steps, losses[-1], lr, images))
        if not all(bool(x.isfinite().all()) for x in self.learned.parameters()):
            raise _diverged("a learned tensor is not finite", epoch)
        rate = round(steps * images / (time.perf_counter() - began), 2)
        first_lr, loss = learning_rate(epoch, self.recipe), sum(losses) / steps
        return EpochReport(epoch, self.recipe.epochs, loss, first_lr, rate)

    def _step(self, batches: Sequence[Batch], lr: float, epoch: int) -> float:
        """One task after the other, so that the states of one are held at a time."""
        for options in self.optimiser.param_groups:
            options["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for task, batch in zip(self.tasks, batches, strict=True):
            loss = task.loss(self.clip, batch) / len(self.tasks)
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise _diverged(f"the loss is {total}", epoch)
        self.optimiser.step()
        return total


def _diverged(what: str, epoch: int) -> JobError:
    return JobError(
        f"{what} in epoch {epoch}; try a lower learning rate (--lr) or --dtype fp32, with "
        "--overwrite"
    )
