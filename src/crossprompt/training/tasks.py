"""Training of several data sets together, as tasks that share prompts.

First the tasks, their batches and their training (``train_tasks``), then the comparison of their
gradients (``compare_tasks``) and the groups that follow from it (``choose_groups``).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parameters_to_vector

from crossprompt.clip.model import CLIP
from crossprompt.methods.mmap import MmAP
from crossprompt.training.batches import Batch, BatchSampler
from crossprompt.training.checkpoint import Checkpoint
from crossprompt.training.config import Run
from crossprompt.training.train import build_optimizer, run_epochs
from crossprompt.utils.progress import EpochReport, StepReport

ByTask = tuple[Tensor, ...]
"""Inputs or labels of a step, for every task."""
Cosines = Float[Tensor, "tasks tasks"]
"""Mean cosine of every two tasks' gradients."""
Groups = list[list[int]]
"""A partition of the tasks, each a position."""

EXHAUSTIVE = 8
"""Tasks, at most, of which every partition is tried: 4140 for 8 of them."""
WARM_UP, MEASURED = 20, 20
"""Steps in which the shared prompt is trained, and steps in which gradients are compared."""


@dataclass(frozen=True)
class Task:
    """A data set with its method and batches."""

    name: str
    run: Run
    method: MmAP
    """Method with a prompt of the task alone and one that its group shares."""
    sampler: BatchSampler

    @classmethod
    def of(cls, name: str, run: Run) -> "Task":
        """Set up the batches of a resolved run."""
        assert isinstance(run.method, MmAP)
        return cls(name, run, run.method, run.sampler())


class TaskSampler:
    """A batch of every task for each step; within an epoch small tasks begin anew."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.samplers = [task.sampler for task in tasks]
        self.steps = max(sampler.steps for sampler in self.samplers)
        self.batch_size = sum(sampler.batch_size for sampler in self.samplers)
        self.seed = self.samplers[0].seed

    def epoch(self, epoch: int) -> Iterator[tuple[ByTask, ByTask]]:
        """Yield the tasks' inputs and labels for every step of an epoch, counted from 1."""

        def batches(sampler: BatchSampler) -> Iterator[Batch]:
            rounds = math.ceil(self.steps / sampler.steps)
            for number in range((epoch - 1) * rounds + 1, epoch * rounds + 1):
                yield from sampler.epoch(number)

        for step in islice(zip(*map(batches, self.samplers), strict=False), self.steps):
            inputs, labels = zip(*step, strict=True)
            yield inputs, labels


class SharedPrompts(nn.Module):
    """Trainable parameters of several tasks, each tensor once; groups get one shared prompt."""

    def __init__(self, tasks: Sequence[Task], groups: Sequence[Sequence[str]]) -> None:
        super().__init__()
        methods = {task.name: task.method for task in tasks}
        self.methods = list(methods.values())  # a plain list registers no parameter twice
        shared = [methods[group[0]].group for group in groups]
        for group, source in zip(groups, shared, strict=True):
            for name in group:
                methods[name].group = source
        self.tasks = nn.ModuleList(method.task for method in methods.values())
        self.groups = nn.ModuleList(source for source in shared if source is not None)

    def backward(self, clip: CLIP, inputs: ByTask, labels: ByTask) -> Tensor:
        """Leave the gradients of the tasks' mean loss in the parameters, and return the loss.

        One task comes after the other, so that only one task's activations are held at a time.
        """
        total = torch.zeros((), dtype=torch.float64)
        for method, its_inputs, its_labels in zip(self.methods, inputs, labels, strict=True):
            loss = method.loss(clip, its_inputs, its_labels) / len(self.methods)
            loss.backward()
            total += loss.item()
        return total


def train_tasks(
    tasks: Sequence[Task],
    groups: Sequence[Sequence[str]],
    record: Mapping[str, Any],
    folder: Path | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[EpochReport]:
    """Train the tasks' methods in place, by the recipe of the first; see ``run_epochs``.

    ``groups`` are the tasks that share a prompt, by name.
    """
    run, prompts = tasks[0].run, SharedPrompts(tasks, groups)
    checkpoint = Checkpoint(folder, prompts, build_optimizer(prompts, run.recipe), record)
    sampler, clip, recipe = TaskSampler(tasks), run.clip, run.recipe
    return run_epochs(prompts, clip, sampler, recipe, checkpoint, resume=resume, on_step=on_step)


def compare_tasks(
    tasks: Sequence[Task], progress: Callable[[int, int], None] | None = None
) -> Cosines:
    """Compare tasks by the gradients of a prompt that all share, after a short warm-up of it."""
    sharing = []
    for task in tasks:
        options = {**task.method.config.to_json(), "group_length": 0}
        names, seed = task.method.class_names, task.run.config.seed
        method = MmAP.build(task.run.clip, names, options, seed)
        sharing.append(replace(task, method=method))
    prompt = sharing[0].method.task
    for task in sharing:
        task.method.task = prompt
    parameters = list(prompt.parameters())
    optimizer = build_optimizer(prompt, tasks[0].run.recipe)
    sampler = TaskSampler(sharing)
    steps = (batch for epoch in count(1) for batch in sampler.epoch(epoch))
    compared = []
    for number, (inputs, labels) in enumerate(islice(steps, WARM_UP + MEASURED)):
        losses = (
            task.method.loss(task.run.clip, its_inputs, its_labels)
            for task, its_inputs, its_labels in zip(sharing, inputs, labels, strict=True)
        )
        gradients = [torch.autograd.grad(loss, parameters) for loss in losses]
        if number < WARM_UP:
            for parameter, parts in zip(parameters, zip(*gradients, strict=True), strict=True):
                parameter.grad = torch.stack(parts).mean(0)
            optimizer.step()
        else:
            compared.append([parameters_to_vector(parts) for parts in gradients])
        if progress is not None:
            progress(number + 1, WARM_UP + MEASURED)
    return mean_cosines(compared)


def mean_cosines(steps: Sequence[Sequence[Tensor]]) -> Cosines:
    """Cosines of the tasks' gradients, averaged over steps.

    Args:
        steps: for every step one gradient per task, all of one shape.
    """
    cosines = []
    for gradients in steps:
        directions = normalize(torch.stack([x.flatten() for x in gradients]), dim=1)
        cosines.append(directions @ directions.T)
    return torch.stack(cosines).mean(0)


def choose_groups(cosines: Cosines) -> Groups:
    """Choose the partition with the highest affinity; of equals the first.

    Up to 8 tasks all partitions are compared, with more those of agglomerative clustering (average
    linkage of 1 - cosine).
    """
    tasks = cosines.shape[0]
    partitions = partition(tasks) if tasks <= EXHAUSTIVE else cluster(cosines)
    return max(partitions, key=lambda groups: affinity(groups, cosines))


def affinity(groups: Groups, cosines: Cosines) -> float:
    """Silhouette (Rousseeuw, 1987) on cosines, averaged over tasks.

    For each task the mean cosine with the others of its group (0 if it is alone), minus that with
    the nearest other group (0 if there is none). The mean within the groups alone would always be
    highest for the closest pairs.
    """
    rows = cosines.tolist()
    total = 0.0
    for number, group in enumerate(groups):
        others = groups[:number] + groups[number + 1 :]
        for task in group:
            own = _mean([rows[task][other] for other in group if other != task])
            nearest = max((_mean([rows[task][x] for x in other]) for other in others), default=0.0)
            total += own - nearest
    return total / len(rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def partition(tasks: int) -> Iterator[Groups]:
    """Yield every partition of a number of tasks, each once."""
    if tasks == 0:
        yield []
        return
    last = tasks - 1
    for groups in partition(last):
        for number, group in enumerate(groups):
            yield [*groups[:number], [*group, last], *groups[number + 1 :]]
        yield [*groups, [last]]


def cluster(cosines: Cosines) -> Iterator[Groups]:
    """Yield one partition for every number of groups, from one for all to one for each task."""
    from sklearn.cluster import AgglomerativeClustering

    tasks = cosines.shape[0]
    distances = (1 - cosines).double().cpu().numpy()
    for groups in range(1, tasks + 1):
        found = AgglomerativeClustering(groups, metric="precomputed", linkage="average")
        labels = found.fit_predict(distances).tolist()
        yield [
            [task for task in range(tasks) if labels[task] == label]
            for label in dict.fromkeys(labels)
        ]
