"""How a recipe moves what is learned: the optimiser, and its learning rate in every epoch."""

import math

import torch

from crossprompt.errors import RequestError
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
    """The recipe's optimiser over everything that the method holds."""
    parameters = list(method.parameters())
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    raise RequestError(f"no optimiser {recipe.optimiser!r}; expected sgd")
