"""Training of several data sets together, as tasks that share prompts."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from crossprompt.methods.mmap import MmAP
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
    """A batch of every task for each step; within an epoch small tasks begin anew."""

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
    """Trainable parameters of several tasks, each tensor once; groups get one shared prompt."""

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
    """Train the tasks' methods in place, by the recipe of the first; see ``run_epochs``."""

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
    """Compare tasks by the gradients of a prompt that all share, after a short warm-up of it."""
    sharing = [replace(task, method=_without_group(task)) for task in tasks]
    prompt = sharing[0].method.task
    for task in sharing:
        task.method.task = prompt
    parameters = list(prompt.parameters())
    optimizer = build_optimizer(prompt, tasks[0].run.recipe)
    sampler = TaskSampler(sharing)
    steps = (batches for epoch in count(1) for batches in sampler.epoch(epoch))
    compared = []
    for number, batches in enumerate(islice(steps, WARM_UP + MEASURED)):
        gradients = [
            torch.autograd.grad(task.loss(batch), parameters)
            for task, batch in zip(sharing, batches, strict=True)
        ]
        if number < WARM_UP:
            for parameter, parts in zip(parameters, zip(*gradients, strict=True), strict=True):
                parameter.grad = torch.stack(parts).mean(0)
            optimizer.step()
        else:
            compared.append([parameters_to_vector(parts) for parts in gradients])
        if progress is not None:
            progress(number + 1, WARM_UP + MEASURED)
    return mean_cosines(compared)


def _without_group(task: Task) -> MmAP:
    options = {**task.method.config.to_json(), "group_length": 0}
    return MmAP.build(task.run.clip, task.method.class_names, options, task.run.config.seed)
