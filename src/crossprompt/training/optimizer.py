"""Builds the optimizer and the learning-rate schedule from a recipe."""

import math
from collections.abc import Callable

import torch
from torch import nn

from crossprompt.methods.base import Recipe

Schedule = Callable[[int, float, Recipe], float]
"""Learning rate by epoch, counted from 1, part of the epoch that is done, and recipe."""


def warm_up_cosine(epoch: int, part: float, recipe: Recipe) -> float:
    """One epoch of warm-up, then a cosine that it does not shift; constant within an epoch.

    As Dassl's schedule (optim/lr_scheduler.py:43): 1e-5, then 0.5 * lr * (1 + cos(pi (e - 2) / E)).
    """
    if epoch == 1:
        return recipe.first_lr
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * (epoch - 2) / recipe.epochs))


def cosine(epoch: int, part: float, recipe: Recipe) -> float:
    """Half a cosine from step to step, as PyTorch's ``CosineAnnealingLR``."""
    done = (epoch - 1 + part) / recipe.epochs
    return recipe.last_lr + 0.5 * (recipe.lr - recipe.last_lr) * (1 + math.cos(math.pi * done))


SCHEDULES: dict[str, Schedule] = {"warm-up-cosine": warm_up_cosine, "cosine": cosine}


def learning_rate(epoch: int, recipe: Recipe, part: float = 0.0) -> float:
    """The learning rate of a step.

    Args:
        epoch: counted from 1.
        recipe: names the schedule.
        part: share of the epoch's steps that are done, 0 to less than 1.
    """
    return SCHEDULES[recipe.schedule](epoch, part, recipe)


def build_optimizer(method: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimizer over the trainable parameters."""
    trainable = [parameter for parameter in method.parameters() if parameter.requires_grad]
    lr, decay = recipe.lr, recipe.weight_decay
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(trainable, lr, momentum=recipe.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(trainable, lr, eps=recipe.eps, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(trainable, lr, eps=recipe.eps, weight_decay=decay)
