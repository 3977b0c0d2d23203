"""How long a training step and a batch of test images take here, measured on random images."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from crossprompt.bench.grid import Cell
from crossprompt.bench.studies.names import made_up_names
from crossprompt.bench.studies.parts import recipe_of
from crossprompt.bench.studies.study import TEST_BATCH
from crossprompt.clip.model import CLIP
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.methods import Method, build_from
from crossprompt.methods.base import Recipe
from crossprompt.training.memory import applied, choose_recompute, held_memory
from crossprompt.training.optimizer import build_optimizer


@dataclass(frozen=True)
class Cost:
    """What a method takes with the classes of a data set; times in seconds."""

    step: float
    """A training step."""
    encode: float
    """A batch of test images, as a frozen classifier answers: images alone."""
    score: float
    """A batch of test images, as was published: both towers for every batch."""
    memory: float
    """Bytes of a step at the highest, beside what is held before it."""
    learned: int
    """Bytes of what is learned."""


def measure(cell: Cell, clip: CLIP) -> Cost:
    """What a cell's method takes, with as many classes as were published.

    Args:
        cell: of any number of shots.
        clip: the backbone, where it is to be trained.
    """
    names = made_up_names(BENCHMARKS[cell.dataset].classes, clip.tokenizer)
    method = build_from(cell.method, clip, names, cell.options)
    probe = _Probe(method, clip, recipe_of(cell))
    held = held_memory(clip.device)
    saving, peak = choose_recompute(probe.loss, method, clip, None)
    with applied(clip, saving):
        step = probe.seconds(probe.step)
    learned = sum(x.nbytes for x in method.parameters())
    return Cost(step, probe.seconds(probe.encode), probe.seconds(probe.score), peak - held, learned)


class _Probe:
    """A training step and a test batch on random images.

    Args:
        method: untrained.
        clip: the backbone.
        recipe: how it is trained.
    """

    def __init__(self, method: Method, clip: CLIP, recipe: Recipe) -> None:
        self.method, self.clip = method, clip
        shape = (3, clip.config.image.side, clip.config.image.side)
        self.images = torch.randn(recipe.batch_size, *shape, device=clip.device)
        self.tests = torch.randn(TEST_BATCH, *shape, device=clip.device)
        self.labels = torch.zeros(recipe.batch_size, dtype=torch.long, device=clip.device)
        self.optimizer = build_optimizer(method, recipe)

    def loss(self) -> Tensor:
        inputs = self.method.encode_inputs(self.clip, self.images)
        return self.method.loss(self.clip, inputs, self.labels)

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        inputs = self.method.encode_inputs(self.clip, self.images)
        self.method.backward(self.clip, inputs, self.labels)
        self.optimizer.step()

    @torch.no_grad()
    def encode(self) -> None:
        self.clip.encode_images(self.tests)

    @torch.no_grad()
    def score(self) -> None:
        self.method(self.clip, self.tests)

    def seconds(self, function: Callable[[], None], repeats: int = 2) -> float:
        """Of the fastest call, after one to warm up."""
        taken = []
        for _ in range(1 + repeats):
            began = time.perf_counter()
            function()
            if self.clip.device.type == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - began)
        return min(taken[1:])
