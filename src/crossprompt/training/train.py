"""Train a method: the training loop.

``train`` resolves its arguments into a run, ``train_run`` sets the run up, ``run_epochs`` is the
loop; the optimizer, the learning rate and the choice of activation checkpointing follow.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset, Item, Split, check_items, fingerprint_of
from crossprompt.errors import JobError
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Examples
from crossprompt.training.batches import BatchSampler, Sampler
from crossprompt.training.checkpoint import Averaging, Checkpoint, build_record
from crossprompt.training.config import Run, TrainConfig
from crossprompt.training.memory import GB, Recompute, applied, choose_recompute
from crossprompt.utils import distributed
from crossprompt.utils.config import require
from crossprompt.utils.progress import NOTE, EpochReport, StepReport


def train(
    method: Method,
    clip: CLIP,
    train: Sequence[Item],
    config: TrainConfig | None = None,
    *,
    val: Sequence[Item] = (),
    folder: str | PathLike[str] | None = None,
    resume: bool = False,
    say: Callable[[str], None] | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> list[EpochReport]:
    """Train a method on few-shot images; the backbone stays as it is.

    Args:
        method: to be trained, in place.
        clip: the frozen backbone.
        train: labelled training images.
        config: settings; the method's recipe by default.
        val: validation images, for methods that choose a setting on them.
        folder: for ``log.jsonl`` and a checkpoint after each epoch.
        resume: continue from the checkpoint in ``folder``, to the same result as without the
            interruption.
        say: called with a sentence if activations are recomputed to fit into the memory.
        on_step: called after every step.
        on_epoch: called after every epoch.

    Returns:
        One report per epoch, those before an interruption included; none for a method without
        steps.

    Raises:
        RequestError: no labelled images, a label without a class, a setting that would be ignored,
            a batch size that the processes cannot share, a memory limit that cannot be met, or a
            checkpoint of another training.
        JobError: the loss is not finite; the checkpoint of the last good epoch is kept.
    """
    for items in (train, val):
        check_items(items, "train on")
    config = config or TrainConfig()
    recipe = config.recipe_for(type(method), train)
    names, splits = tuple(method.class_names), (Split(tuple(train)), Split(tuple(val)))
    data = Dataset("the method's class_names", names, *splits)
    images = fingerprint_of(names, {"train": data.train}, None)
    record = build_record(method, clip, recipe, config.seed, data={"images": images})
    run = Run(method, clip, data, config, recipe, record)
    path = None if folder is None else Path(folder)
    return train_run(run, path, resume, say=say, on_step=on_step, on_epoch=on_epoch)


def train_run(
    run: Run,
    folder: Path | None = None,
    resume: bool = False,
    *,
    say: Callable[[str], None] | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> list[EpochReport]:
    """Train the method of a resolved run in place; see ``train``."""
    method, clip, recipe = run.method, run.clip, run.recipe
    examples = Examples(clip, run.data.train, run.data.val, run.config.seed)
    method.prepare(clip, examples)
    reports: list[EpochReport] = []
    if recipe.epochs:
        sampler = run.sampler()
        recompute = _choose_recompute(run, sampler, say)
        optimizer, averaging = build_optimizer(method, recipe), Averaging(method, recipe.epochs)
        checkpoint = Checkpoint(folder, method, optimizer, run.record, averaging)
        with applied(clip, recompute):
            reports = run_epochs(
                method,
                clip,
                sampler,
                recipe,
                checkpoint,
                resume=resume,
                on_step=on_step,
                on_epoch=on_epoch,
            )
        averaging.finish()
    with torch.no_grad():
        method.finish(clip, examples)
    return reports


@runtime_checkable
class Trainable(Protocol):
    """Trainable parameters with a backward pass: a method, or the methods of several tasks."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over the parameters."""

    def backward(self, clip: CLIP, inputs: Any, labels: Any) -> Tensor:
        """Leave the gradients of a batch in the parameters, and return its loss."""

    def train(self) -> object:
        """Set training mode."""

    def eval(self) -> object:
        """End training mode."""


def run_epochs(
    method: Trainable,
    clip: CLIP,
    sampler: Sampler,
    recipe: Recipe,
    checkpoint: Checkpoint,
    *,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> list[EpochReport]:
    """The training loop, from the last checkpoint on.

    Args:
        method: to be trained, in place.
        clip: the frozen backbone.
        sampler: gives the batches of this process.
        recipe: number of epochs and learning rates.
        checkpoint: holds the method's optimizer and the mean over the epochs, if any.
        resume: continue from the checkpoint's file.
        on_step: called after every step.
        on_epoch: called after every epoch.

    Returns and raises as ``train``.
    """
    optimizer, epochs = checkpoint.optimizer, recipe.epochs
    reports = checkpoint.begin(resume)
    with training_mode(method, clip.device):
        for epoch in range(len(reports) + 1, epochs + 1):
            began, losses = time.perf_counter(), list[float]()
            for number, (inputs, labels) in enumerate(sampler.epoch(epoch)):
                step, steps = (epoch - 1) * sampler.steps + number + 1, epochs * sampler.steps
                lr = learning_rate(epoch, recipe, number / sampler.steps)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                # for methods with dropout, which draw from the global generator
                torch.manual_seed(sampler.seed * 1_000_003 + step)

                optimizer.zero_grad(set_to_none=True)
                # forward and backward pass of this process's share
                loss = distributed.mean(method.backward(clip, inputs, labels).item())
                distributed.average_gradients(method.parameters())  # all-reduce
                if not math.isfinite(loss):
                    what = f"the loss is {loss} in epoch {epoch}, step {number + 1}"
                    raise _diverged(what, epoch, checkpoint, clip)
                optimizer.step()

                losses.append(loss)
                if on_step is not None:
                    on_step(StepReport(step, steps, loss, lr, sampler.batch_size))

            if not all(bool(x.isfinite().all()) for x in method.parameters()):
                what = f"a trained parameter is not finite after epoch {epoch}"
                raise _diverged(what, epoch, checkpoint, clip)
            rate = sampler.steps * sampler.batch_size / (time.perf_counter() - began)
            mean, first_lr = sum(losses) / len(losses), learning_rate(epoch, recipe)
            reports.append(EpochReport(epoch, epochs, mean, first_lr, round(rate, 2)))
            if checkpoint.averaging is not None:
                checkpoint.averaging.add(epoch)
            checkpoint.save(reports)
            if on_epoch is not None:
                on_epoch(reports[-1])
    return reports


def learning_rate(epoch: int, recipe: Recipe, part: float = 0.0) -> float:
    """The learning rate of a step, by the recipe's schedule.

    ``cosine`` is half a cosine from step to step, as PyTorch's ``CosineAnnealingLR``.
    ``warm-up-cosine`` is constant within an epoch: one epoch of warm-up, then a cosine that it does
    not shift, as Dassl's (optim/lr_scheduler.py:43).

    Args:
        epoch: counted from 1.
        recipe: names the schedule.
        part: share of the epoch's steps that are done, 0 to less than 1.
    """
    if recipe.schedule == "cosine":
        angle = math.pi * (epoch - 1 + part) / recipe.epochs
        return recipe.last_lr + 0.5 * (recipe.lr - recipe.last_lr) * (1 + math.cos(angle))
    if epoch == 1:
        return recipe.first_lr
    return 0.5 * recipe.lr * (1 + math.cos(math.pi * (epoch - 2) / recipe.epochs))


def build_optimizer(method: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimizer over the trainable parameters."""
    trainable = [parameter for parameter in method.parameters() if parameter.requires_grad]
    lr, decay = recipe.lr, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(trainable, lr, momentum=recipe.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(trainable, lr, eps=recipe.eps, weight_decay=decay)


@contextmanager
def training_mode(method: Trainable, device: torch.device) -> Iterator[None]:
    """Set training mode for the time of the context, and restore the global generators after it."""
    method.train()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        method.eval()


def _diverged(what: str, epoch: int, checkpoint: Checkpoint, clip: CLIP) -> JobError:
    in_folder = checkpoint.folder is not None
    kept = f"; the checkpoint of epoch {epoch - 1} is kept" if in_folder and epoch > 1 else ""
    precise = "" if clip.dtype == torch.float32 else " or --dtype fp32"
    afresh = ", with --overwrite" if in_folder else ""
    return JobError(f"{what}{kept}; try a lower learning rate (--lr){precise}{afresh}")


def _choose_recompute(
    run: Run, sampler: BatchSampler, say: Callable[[str], None] | None
) -> Recompute:
    """Choose the activation checkpointing with which the first step stays within the memory."""
    memory_limit, (inputs, labels) = run.config.memory_limit, next(sampler.epoch(1))
    limit = None if memory_limit is None else memory_limit * GB
    with training_mode(run.method, run.clip.device):
        recompute, peak = choose_recompute(
            lambda: run.method.loss(run.clip, inputs, labels), run.method, run.clip, limit
        )
    require(
        limit is None or peak <= limit,
        f"a step needs about {peak / GB:.2g} GB even with all activations recomputed, but "
        f"memory_limit is {memory_limit}; raise it, or lower batch_size",
    )
    if say is not None and recompute != Recompute():
        say(f"{NOTE}to take about {peak / GB:.2g} GB, {recompute.in_words()}")
    return recompute
