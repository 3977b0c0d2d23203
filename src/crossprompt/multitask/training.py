"""Train several tasks together: a step lowers the mean of their losses, on a batch of each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.loop import Loop, Steps
from crossprompt.methods.base import Recipe
from crossprompt.multitask.grouping import Groups
from crossprompt.multitask.task import Batch, Task, batches_of, steps_of
from crossprompt.optimiser import build_optimiser
from crossprompt.progress import EpochReport, StepReport
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
    methods = [task.method for task in tasks]
    return Loop(_steps(tasks, clip), methods, clip, recipe, state, on_step).run(resume)


def _steps(tasks: Sequence[Task], clip: CLIP) -> Steps[Sequence[Batch]]:
    def step(batches: Sequence[Batch]) -> float:
        """One task after the other, so that the states of one are held at a time."""
        total = 0.0
        for task, batch in zip(tasks, batches, strict=True):
            loss = task.loss(clip, batch) / len(tasks)
            loss.backward()
            total += loss.item()
        return total

    images, seed = sum(task.plan.batch_size for task in tasks), tasks[0].plan.seed
    return Steps(lambda epoch: batches_of(tasks, epoch), step, steps_of(tasks), images, seed)
