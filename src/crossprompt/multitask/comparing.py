"""How alike tasks are: the cosines of their gradients of one prompt that all of them share."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, islice

import torch
from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.methods import build_method
from crossprompt.methods.base import Recipe
from crossprompt.methods.mmap import MmAP, Source
from crossprompt.multitask.grouping import Cosines, mean_cosines
from crossprompt.multitask.task import Batch, Task, batches_of
from crossprompt.optimiser import build_optimiser

WARM_UP, MEASURED = 20, 20
"""Steps that the shared prompt learns, and steps after that in which gradients are compared."""


def compare_tasks(
    tasks: Sequence[Task],
    clip: CLIP,
    recipe: Recipe,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Cosines:
    """Compare tasks by the gradients of a prompt that all share, after a short warm-up.

    Args:
        tasks: whose own prompts are left alone.
        clip: the frozen backbone.
        recipe: whose optimiser warms up, at the highest learning rate.
        seed: of the shared prompt.
        progress: called with (steps done, steps in all).
    """
    sharing = [replace(task, method=_without_group(task.method, clip, seed)) for task in tasks]
    first = sharing[0].method
    for task in sharing:
        task.method.task = first.task
    optimiser = build_optimiser(first, recipe)
    steps = (step for epoch in count(1) for step in batches_of(sharing, epoch))
    compared = []
    for number, batches in enumerate(islice(steps, WARM_UP + MEASURED)):
        gradients = [
            _gradient(task, clip, batch) for task, batch in zip(sharing, batches, strict=True)
        ]
        if number < WARM_UP:
            _leave(torch.stack(gradients).mean(0), first.task)
            optimiser.step()
        else:
            compared.append(gradients)
        if progress is not None:
            progress(number + 1, WARM_UP + MEASURED)
    return mean_cosines(compared)


def _without_group(method: MmAP, clip: CLIP, seed: int) -> MmAP:
    options = {**method.config.to_json(), "group_length": 0}
    built = build_method(method.name, clip, method.class_names, seed=seed, **options)
    assert isinstance(built, MmAP)
    return built


def _gradient(task: Task, clip: CLIP, batch: Batch) -> Tensor:
    """Of a task's loss by the shared prompt, flat."""
    gradients = torch.autograd.grad(task.loss(clip, batch), list(task.method.task.parameters()))
    return torch.cat([x.flatten() for x in gradients])


def _leave(gradient: Tensor, shared: Source) -> None:
    """Put a flat gradient where the optimiser looks for it."""
    parameters = list(shared.parameters())
    parts = gradient.split([x.numel() for x in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
