"""A joint source: data sets that are learned together, ``a+b``, each tested on its own images."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossprompt.bench.grid import Cell
from crossprompt.bench.loaders import parts_of
from crossprompt.bench.protocols import FewShot
from crossprompt.bench.run_cell import Asked, NotApplicableError, Trained, advise, resumed
from crossprompt.errors import JobError
from crossprompt.methods.mmap import MmAP
from crossprompt.training.multitask import (
    MultiTaskConfig,
    Task,
    choose_groups,
    compare_tasks,
    train_tasks,
)


@dataclass(frozen=True)
class TrainedTogether:
    """The methods of several data sets after their training, to be measured."""

    parts: Sequence[Trained]
    """One for each data set, in order."""
    groups: Sequence[Sequence[str]]
    """The data sets that share a prompt."""

    def measure(self, cell: Cell) -> dict[str, Any]:
        """What a line says of a cell: the results of every data set, one after the other.

        Args:
            cell: which says how the methods are asked.
        """
        lines = [part.measure(cell) for part in self.parts]
        learned = {id(x): x.numel() for part in self.parts for x in part.method.parameters()}
        return {
            **lines[0],
            "results": [result for line in lines for result in line["results"]],
            "settings": {**lines[0]["settings"], "groups": [list(group) for group in self.groups]},
            "trained_parameters": sum(learned.values()),  # what is shared counts once
            "classifier_bytes": sum(line["classifier_bytes"] for line in lines),
            "seconds": _sums([line["seconds"] for line in lines]),
            "data_fingerprint": "+".join(line["data_fingerprint"] for line in lines),
        }


def prepare_together(asked: Asked, states: Path) -> TrainedTogether:
    """Train, or go on with a training that was interrupted.

    Args:
        asked: which training, of a joint source.
        states: where its state is kept.

    Raises:
        NotApplicableError: the method learns from one data set, or the protocol is of one.
    """
    cell = asked.cell
    if cell.method != MmAP.name:
        raise NotApplicableError(
            f"{cell.method} learns from one data set; {MmAP.name} learns several together"
        )
    if cell.protocol != FewShot.name:
        raise NotApplicableError(f"{cell.protocol} has one source; few-shot takes several together")
    return resumed(lambda resume: _train(asked, states, resume), states)


def _train(asked: Asked, states: Path, resume: bool) -> TrainedTogether:
    began = time.perf_counter()
    names = parts_of(asked.cell.dataset)
    parts = [replace(asked, cell=replace(asked.cell, dataset=name)) for name in names]
    jobs = MultiTaskConfig(tuple(part.job for part in parts)).check().jobs
    tasks = []
    for name, job, part in zip(names, jobs, parts, strict=True):
        few = part.trial.few
        method = job.build_method(asked.clip, few)
        tasks.append(Task.of(name, method, few.train, asked.clip, job.train_config()))
    recipe = tasks[0].recipe
    groups = choose_groups(compare_tasks(tasks, asked.clip, recipe, asked.cell.seed))
    named = [[names[position] for position in group] for group in groups]
    settings = {
        "cell": asked.cell.to_json(),
        "data": {part.cell.dataset: part.data.fingerprint for part in parts},
        "weights": asked.clip.weights_hash,
        "groups": named,
    }
    try:
        train_tasks(
            tasks,
            groups,
            asked.clip,
            recipe,
            settings,
            folder=states,
            resume=resume,
            on_step=asked.on_step,
        )
    except JobError as error:
        raise advise(error, MmAP.name) from error
    seconds = (time.perf_counter() - began) / len(parts)
    trained = [Trained(part, task.method, seconds) for part, task in zip(parts, tasks, strict=True)]
    return TrainedTogether(trained, named)


def _sums(seconds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(sum(part[name] for part in seconds), 3) for name in seconds[0]}
