"""The mean of what a method has learned, over the epochs of a training."""

from collections.abc import Mapping

import torch
from torch import Tensor

from crossprompt.frozen import check_tensors
from crossprompt.methods.base import Method


class Averaging:
    """Adds up the learned tensors epoch by epoch, each time with the method's weight of that epoch.

    Args:
        method: whose tensors they are.
        epochs: in all.
    """

    def __init__(self, method: Method, epochs: int) -> None:
        self.method = method
        self.weights = method.weigh_epochs(epochs)
        self.total: dict[str, Tensor] = {}
        """Of the epochs that are done; empty where the last epoch alone counts."""

    def add(self, epoch: int) -> None:
        """Count the tensors as they are after an epoch, counted from 1."""
        if self.weights is None:
            return
        weight = self.weights[epoch - 1]
        for name, parameter in self.method.named_parameters():
            part = weight * parameter.detach()
            self.total[name] = self.total[name] + part if name in self.total else part

    def restore(self, total: Mapping[str, Tensor]) -> None:
        """Go on from the total of an interrupted training; ``ValueError`` if it is no such."""
        learned = {} if self.weights is None else dict(self.method.named_parameters())
        check_tensors(total, {name: tuple(x.shape) for name, x in learned.items()})
        self.total = {name: total[name].to(x.device) for name, x in learned.items()}

    @torch.no_grad()
    def finish(self) -> None:
        """Let the method hold the mean, where it wants one."""
        for name, total in self.total.items():
            self.method.get_parameter(name).copy_(total)
