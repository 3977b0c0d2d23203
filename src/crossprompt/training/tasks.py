"""Training of several data sets together, as tasks that share prompts."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossprompt.methods.mmap import MmAP, Source
from crossprompt.training.batches import BatchSampler
from crossprompt.training.checkpoint import Checkpoint
from crossprompt.training.grouping import Cosines, Groups, mean_cosines
from crossprompt.training.optimizer import build_optimizer
from crossprompt.training.run import Batch, Run
from crossprompt.training.train import run_epochs
from crossprompt.utils.progress import EpochReport, StepReport
from crossprompt.utils.shapes import Scalar

WARM_UP, MEASURED = 20, 20
"""Steps in which the shared prompt is trained, and steps in which gradients are compared."""


@dataclass(frozen=True)
class Task:
    """A data set with its method and batches."""

    name: str
    run: Run
    method: MmAP
    """With a prompt of its own and one that its group shares."""
    sampler: BatchSampler

    @classmethod
    def of(cls, name: str, run: Run) -> "Task":
        """Set up the batches of a resolved run."""
        assert isinstance(run.method, MmAP)
        labels = [item.label for item in run.train]
        sampler = BatchSampler(labels, run.recipe.batch_size, run.config.seed, run.reader())
        return cls(name, run, run.method, sampler)

    def loss(self, batch: Batch) -> Scalar:
        """Loss of a batch."""
        return self.method.loss(self.run.clip, *self.run.to_inputs(batch))


class TaskSampler:
    """A batch of every task for each step; an epoch passes once over the largest task.

    Args:
        tasks: smaller ones begin anew within an epoch.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.samplers = [task.sampler for task in tasks]
        self.steps = max(sampler.steps for sampler in self.samplers)
        self.batch_size = sum(sampler.batch_size for sampler in self.samplers)
        self.seed = self.samplers[0].seed

    def epoch(self, epoch: int) -> Iterator[tuple[Batch, ...]]:
        """Yield the tasks' batches for every step of an epoch, counted from 1."""

        def batches(sampler: BatchSampler) -> Iterator[Batch]:
            rounds = math.ceil(self.steps / sampler.steps)
            for number in range((epoch - 1) * rounds + 1, epoch * rounds + 1):
                yield from sampler.epoch(number)

        return islice(zip(*map(batches, self.samplers), strict=False), self.steps)


class SharedPrompts(nn.Module):
    """Trainable parameters of several tasks, each tensor once.

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
    record: Mapping[str, Any],
    folder: Path | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[EpochReport]:
    """Train the tasks' methods in place, by the recipe of the first; see ``run_epochs``.

    Args:
        tasks: in turn.
        groups: positions of tasks that share a prompt.
        record: of everything that the result depends on.
        folder: for ``log.jsonl`` and a checkpoint after each epoch.
        resume: continue from the checkpoint in ``folder``.
        on_step: called after every step.
    """

    def backward(batches: Sequence[Batch]) -> float:
        """One task after the other, so that only one task's activations are held at a time."""
        total = 0.0
        for task, batch in zip(tasks, batches, strict=True):
            loss = task.loss(batch) / len(tasks)
            loss.backward()
            total += loss.item()
        return total

    run, prompts = tasks[0].run, SharedPrompts(tasks, groups)
    checkpoint = Checkpoint(folder, prompts, build_optimizer(prompts, run.recipe), record)
    sampler = TaskSampler(tasks)
    return run_epochs(backward, sampler, checkpoint, run.recipe, run.clip, resume, on_step)


def compare_tasks(
    tasks: Sequence[Task], progress: Callable[[int, int], None] | None = None
) -> Cosines:
    """Compare tasks by the gradients of a prompt that all share, after a short warm-up.

    Args:
        tasks: their methods stay as they are.
        progress: called with (steps done, steps in all).
    """
    sharing = [replace(task, method=_without_group(task)) for task in tasks]
    prompt = sharing[0].method.task
    for task in sharing:
        task.method.task = prompt
    optimizer = build_optimizer(sharing[0].method, tasks[0].run.recipe)
    sampler = TaskSampler(sharing)
    steps = (batches for epoch in count(1) for batches in sampler.epoch(epoch))
    compared = []
    for number, batches in enumerate(islice(steps, WARM_UP + MEASURED)):
        gradients = [_gradient(task, batch) for task, batch in zip(sharing, batches, strict=True)]
        if number < WARM_UP:
            _set_gradient(prompt, torch.stack(gradients).mean(0))
            optimizer.step()
        else:
            compared.append(gradients)
        if progress is not None:
            progress(number + 1, WARM_UP + MEASURED)
    return mean_cosines(compared)


def _without_group(task: Task) -> MmAP:
    options = {**task.method.config.to_json(), "group_length": 0}
    seed = task.run.config.seed
    return MmAP.build(task.run.clip, task.method.class_names, options, seed)


def _gradient(task: Task, batch: Batch) -> Tensor:
    """Gradient of a task's loss by the shared prompt, flat."""
    gradients = torch.autograd.grad(task.loss(batch), list(task.method.task.parameters()))
    return torch.cat([x.flatten() for x in gradients])


def _set_gradient(prompt: Source, gradient: Tensor) -> None:
    parameters = list(prompt.parameters())
    parts = gradient.split([x.numel() for x in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
