"""Communication between processes that ``accelerate launch``, ``torchrun`` or ``mpirun`` started.

With one process every function here is the identity.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed

from crossprompt.utils.process import SIZES, from_launcher


def join(device: str = "auto") -> torch.device | None:
    """Join the group that a launcher prepared; a second call changes nothing.

    Args:
        device: ``cpu`` keeps to the CPU although there may be GPUs.

    Returns:
        This process's device, or None where there is no group to join.
    """
    if from_launcher(SIZES, 1) < 2:
        return None
    from accelerate import PartialState

    return PartialState(cpu=device == "cpu" or not torch.cuda.is_available()).device


def launcher_started_one() -> bool:
    """True if ``accelerate launch --cpu --num_processes N`` has started only one process.

    Without an MPI host file it does (accelerate 1.15, commands/launch.py:1413); all that is left of
    N is the address at which the processes would have met.
    """
    alone = from_launcher(SIZES, 1) < 2
    return alone and "ACCELERATE_USE_CPU" in os.environ and "MASTER_ADDR" in os.environ


def leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def processes() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def wait() -> None:
    """Wait for every process."""
    if distributed.is_initialized():
        distributed.barrier()


def gather(x: Float[Tensor, "*shape"]) -> Float[Tensor, "processes *shape"]:
    """Stack every process's ``x``; gradients flow back to the process they came from.

    A sum over slots that are zero elsewhere: unlike a gather's, its gradient exists on every back
    end.
    """
    if processes() == 1:
        return x[None]
    slots = x.new_zeros(processes(), *x.shape)
    slots = torch.cat([slots[: rank()], x[None], slots[rank() + 1 :]])
    total: Tensor = _Sum.apply(slots)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    """The sum over the processes; every process's loss has a gradient by every process's input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """All-reduce: replace each gradient by its mean, as if all images had been one batch."""
    average([parameter.grad for parameter in parameters if parameter.grad is not None])


def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over the processes."""
    if processes() == 1 or not tensors:
        return
    together = torch.cat([tensor.flatten() for tensor in tensors])  # one message, not thirty
    distributed.all_reduce(together)
    together /= processes()
    parts = together.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def mean(value: float) -> float:
    """The mean of a number over the processes."""
    if processes() == 1:
        return value
    # NCCL sends nothing that is not on the GPU
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    average([total := torch.tensor(value, dtype=torch.float64, device=device)])
    return float(total)
