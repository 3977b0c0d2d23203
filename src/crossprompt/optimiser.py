"""How a recipe moves what is learned: the optimiser, and its learning rate in every epoch."""

import math

import torch

from crossprompt.methods.base import Method, Recipe


def learning_rate(epoch: int, recipe: Recipe) -> float:
    """Of an epoch counted from 1: one epoch of warm-up, then a cosine that it does not shift.

    As Dassl's schedule does (optim/lr_scheduler.py:43): 1e-5, then 0.5 * lr * (1 + cos(pi (e - 2)
    / E)).
    """
    if epoch == 1:
        return recipe.first_lr
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * (epoch - 2) / recipe.epochs))


def build_optimiser(method: Method, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD over everything that the method holds; the one optimiser that a recipe can name."""
    return torch.optim.SGD(
        method.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
