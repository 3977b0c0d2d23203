"""How a recipe moves what is learned: the optimizer, and its learning rate at every step."""

import math
from collections.abc import Callable

import torch
from torch import nn

from crossprompt.methods.base import Recipe

Schedule = Callable[[int, float, Recipe], float]
"""Of the epoch, counted from 1, and the part of it that is done: the learning rate."""


def warm_up_cosine(epoch: int, part: float, recipe: Recipe) -> float:
    """The same in all of an epoch: one of warm-up, then a cosine that it does not shift.

    As Dassl's schedule does (optim/lr_scheduler.py:43): 1e-5, then 0.5 * lr * (1 + cos(pi (e - 2)
    / E)).
    """
    if epoch == 1:
        return recipe.first_lr
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * (epoch - 2) / recipe.epochs))


def cosine(epoch: int, part: float, recipe: Recipe) -> float:
    """From step to step along half a cosine, as PyTorch's ``CosineAnnealingLR`` does."""
    done = (epoch - 1 + part) / recipe.epochs
    return recipe.last_lr + 0.5 * (recipe.lr - recipe.last_lr) * (1 + math.cos(math.pi * done))


SCHEDULES: dict[str, Schedule] = {"warm-up-cosine": warm_up_cosine, "cosine": cosine}
"""Name to function."""


def learning_rate(epoch: int, recipe: Recipe, part: float = 0.0) -> float:
    """The learning rate of a step.

    Args:
        epoch: counted from 1.
        recipe: whose schedule it is.
        part: of the epoch's steps that are done, 0 to less than 1.
    """
    return SCHEDULES[recipe.schedule](epoch, part, recipe)


def build_optimizer(method: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer, over everything that the method learns."""
    learned = [parameter for parameter in method.parameters() if parameter.requires_grad]
    lr, decay = recipe.lr, recipe.weight_decay
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(learned, lr, momentum=recipe.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(learned, lr, eps=recipe.eps, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(learned, lr, eps=recipe.eps, weight_decay=decay)
