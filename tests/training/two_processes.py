"""Trains every case on two processes and on one: ``python -m tests.training.two_processes FOLDER``.

Forked children start in no time, but only from a process that has not yet computed a gradient: so
not from the one that runs the tests.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which the optimizer imports late: once here, not in every child
from torch import distributed as torch_distributed
from torch import multiprocessing

from crossprompt.methods import METHODS, build_method
from crossprompt.training.config import TrainConfig
from crossprompt.training.train import train
from crossprompt.utils import distributed
from tests.backbone import NAMES, even_clip, write_items

CASES: dict[str, dict[str, Any]] = {
    "mean": {"name": "dcp", "fuse": "mean"},
    "max": {"name": "dcp", "fuse": "max"},
    "first": {"name": "dcp", "fuse": "first"},
    "released": {"name": "dcp", "variant": "released"},
    "coop": {"name": "coop"},
    "prograd": {"name": "prograd", "initial_words": ""},
    "promptsrc": {"name": "promptsrc", "ensemble": ["a {}"], "gaussian_mean": 2.0},
    "tip_adapter_f": {"name": "tip_adapter_f", "passes": 2},
}
LENGTH = 2
"""Length of the prompts, where a method has them."""
CONFIG = TrainConfig(epochs=2, batch_size=4, lr=0.01)


def learn(folder: Path, name: str) -> None:
    """Train every case, and save what this process has learned as ``NAME.pt``."""
    results = {}
    for case, options in CASES.items():
        settings = METHODS[options["name"]].Config.of({}, case).to_json()
        options = {"length": LENGTH, **options} if "length" in settings else options
        method = build_method(clip=even_clip(), class_names=NAMES, **options)
        items = write_items(folder / f"images-{name}", [0, 1, 2, 3] * 2)
        run = folder / f"run-{distributed.processes()}-{case}"
        reports = train(method, even_clip(), items, CONFIG, folder=run)
        learned = {key: value.detach() for key, value in method.state_dict().items()}
        results[case] = learned, [report.loss for report in reports]
    torch.save(results, folder / f"{name}.pt")


def work(rank: int, folder: Path) -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    torch_distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    learn(folder, f"rank-{rank}")
    x = torch.full((2,), float(rank), requires_grad=True)
    together = distributed.gather(x)
    (together * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    numbers = {"gathered": together.detach(), "gradient": x.grad, "mean": distributed.mean(rank)}
    torch.save(numbers, folder / f"numbers-{rank}.pt")
    distributed.leave()


if __name__ == "__main__":
    where = Path(sys.argv[1])
    fork = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if fork else "spawn")
    children = [context.Process(target=work, args=(rank, where)) for rank in (0, 1)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    learn(where, "alone")
    sys.exit(any(child.exitcode for child in children))
