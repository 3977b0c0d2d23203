"""One training of a grid, and the evaluations that its cells ask for."""

import os
import platform
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from crossprompt.bench.grid import Cell
from crossprompt.bench.loaders import load_data, parts_of
from crossprompt.bench.protocols import PROTOCOLS, Evaluation, FewShot, Trial
from crossprompt.classifier.classifier import BATCH, Classifier
from crossprompt.classifier.evaluate import Result, evaluate
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset, Split
from crossprompt.errors import JobError, RequestError, UnsuitableError
from crossprompt.methods import METHODS, Method
from crossprompt.methods.heads.subset import ClassSubset
from crossprompt.training.checkpoint import STATE, library_versions
from crossprompt.training.config import FitConfig, Run
from crossprompt.training.multitask import MultiTaskConfig, group
from crossprompt.training.tasks import Task, train_tasks
from crossprompt.training.train import train_run
from crossprompt.utils.progress import StepReport
from crossprompt.utils.text import listed

METRICS = ("accuracy", "interval", "macro_f1", "ece", "n", "per_class")
"""Fields of ``Result`` that a line of results has."""


class NotApplicableError(RequestError):
    """The method or the data does not allow the protocol; nothing has failed."""


@dataclass(frozen=True)
class Training:
    """One training of a grid, of a data set or of several together."""

    cell: Cell
    """Stands for all cells of the training."""
    clip: CLIP = field(repr=False)
    root: str | None = None
    """Folder of the data sets."""
    on_step: Callable[[StepReport], None] | None = field(default=None, repr=False, compare=False)

    @property
    def parts(self) -> list["Training"]:
        """One training for each data set."""
        names = parts_of(self.cell.dataset)
        return [replace(self, cell=replace(self.cell, dataset=name)) for name in names]

    @property
    def config(self) -> FitConfig:
        """The training as ``fit`` takes it."""
        cell = self.cell
        few = (cell.dataset, cell.method, cell.backbone, cell.shots, cell.seed)
        return FitConfig(*few, options=cell.options, training=cell.training)

    @cached_property
    def data(self) -> Dataset:
        """The whole data set."""
        return load_data(self.cell.dataset, self.root)

    @cached_property
    def trial(self) -> Trial:
        """Few-shot data and evaluations.

        Raises:
            NotApplicableError: the data set allows no few-shot set.
        """
        cell, protocol = self.cell, PROTOCOLS[self.cell.protocol]
        names = protocol.other_datasets(cell.dataset, cell.targets)
        others = {name: load_data(name, self.root) for name in names}
        try:
            return protocol.trial(cell.dataset, self.data, others, cell.shots, cell.seed)
        except UnsuitableError as error:
            raise NotApplicableError(str(error)) from error

    def resolve(self, config: FitConfig | None = None) -> Run:
        """Build the method and resolve the training.

        Raises:
            NotApplicableError: the method cannot be applied to other classes and the protocol
                demands it.
        """
        run = (config or self.config).build_run(self.clip, self.data, self.trial.few)
        for evaluation in self.trial.evaluations:
            self.method_for(evaluation, run.method)
        return run

    def method_for(self, evaluation: Evaluation, method: Method) -> Method:
        """The method for the classes of an evaluation, with the template that belongs to them."""
        if evaluation.classes != "other":
            return method
        follows = "template" in method.config.to_json() and "template" not in self.cell.options
        changes = {"template": (evaluation.template,)} if follows else {}
        try:
            return method.with_class_names(self.clip, evaluation.class_names, **changes)
        except RequestError as error:
            raise NotApplicableError(str(error)) from error

    def evaluate(self, evaluation: Evaluation, run: Run, own: Classifier, cell: Cell) -> Result:
        """Evaluate on one test set."""
        classifier, split = own, evaluation.split
        if evaluation.classes == "other":
            method = self.method_for(evaluation, run.method)
            classifier = run.freeze(inference=cell.inference, method=method)
        elif evaluation.classes == "some":
            classifier = restrict(own, evaluation.class_names)
        if cell.batch_order is not None:
            split = in_order(split, cell.batch_order, cell.seed)
        size = cell.test_batch_size or BATCH
        return evaluate(classifier, split, batch_size=size, cache_features=True)


@dataclass(frozen=True)
class Trained:
    """The methods of a training, ready to be frozen and evaluated."""

    parts: Sequence[Training]
    """One for each data set."""
    runs: Sequence[Run]
    """One for each data set."""
    seconds: float
    """Duration of the training, since it was last resumed."""
    groups: list[list[str]] | None = None
    """Data sets that share a prompt, where several were learned together."""

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Freeze and evaluate as a cell asks; a line of results without the cell itself."""
        began, results, size = time.perf_counter(), [], 0
        for part, run in zip(self.parts, self.runs, strict=True):
            own = run.freeze(inference=cell.inference)
            size += sum(x.nbytes for x in own.frozen.state_dict().values())
            for evaluation in part.trial.evaluations:
                values = part.evaluate(evaluation, run, own, cell).to_json()
                metrics = {name: values[name] for name in METRICS}
                results.append({"name": evaluation.name, "dataset": evaluation.dataset, **metrics})
        record, clip = self.runs[0].record, self.runs[0].clip
        # what data sets share counts once
        parameters = {id(x): x.numel() for run in self.runs for x in run.method.parameters()}
        return {
            "results": results,
            "settings": {
                "method": record["config"],
                "training": record["training"],
                **({} if self.groups is None else {"groups": self.groups}),
            },
            "trained_parameters": sum(parameters.values()),
            "classifier_bytes": size,
            "seconds": {
                "train": round(self.seconds, 3),
                "evaluate": round(time.perf_counter() - began, 3),
            },
            "weights_hash": clip.weights_hash,
            "data_fingerprint": "+".join(part.data.fingerprint for part in self.parts),
            "versions": library_versions(),
            "machine": describe_machine(clip.device),
        }


def prepare(training: Training, states: Path | None = None) -> Trained:
    """Train, or resume a training that was interrupted.

    Args:
        training: of one data set or several.
        states: folder for the checkpoint; None to write nothing.

    Raises:
        NotApplicableError: the method or the data does not allow the protocol.
    """
    train = _train_together if len(training.parts) > 1 else _train
    resume = states is not None and (states / STATE).exists()
    try:
        return train(training, states, resume)
    except RequestError:
        if not resume:
            raise
        # a checkpoint that is damaged, or of other data; if it is not that, it fails again
        return train(training, states, False)
    except JobError as error:  # with advice for a grid, not for a run folder
        what = str(error).partition(";")[0]
        advice = f"try a lower learning rate, as in {training.cell.method}:lr=0.001"
        raise JobError(f"{what}; {advice}") from error


def _train(training: Training, states: Path | None, resume: bool) -> Trained:
    began = time.perf_counter()
    run = training.resolve()
    train_run(run, states, resume, on_step=training.on_step)
    return Trained([training], [run], time.perf_counter() - began)


def _train_together(training: Training, states: Path | None, resume: bool) -> Trained:
    began, cell, parts = time.perf_counter(), training.cell, training.parts
    if not METHODS[cell.method].learns_together:
        able = [name for name, method in METHODS.items() if method.learns_together]
        raise NotApplicableError(
            f"{cell.method} learns from one data set; {' or '.join(able)} learns several together"
        )
    if cell.protocol != FewShot.name:
        raise NotApplicableError(f"{cell.protocol} has one source; few-shot takes several together")
    configs = MultiTaskConfig(tuple(part.config for part in parts)).check().jobs
    runs = [part.resolve(config) for part, config in zip(parts, configs, strict=True)]
    tasks = [Task.of(part.cell.dataset, run) for part, run in zip(parts, runs, strict=True)]
    groups = group(tasks)["groups"]
    record = {"tasks": [run.record for run in runs], "groups": groups}
    train_tasks(tasks, groups, record, states, resume, training.on_step)
    return Trained(parts, runs, time.perf_counter() - began, groups)


def in_order(split: Split, order: str, seed: int) -> Split:
    """The images in one of ``ORDERS``."""
    positions = list(range(len(split)))
    if order == "sorted":
        positions.sort(key=lambda position: split.labels[position])
    elif order == "shuffled":
        random.Random(seed).shuffle(positions)
    return split.take(positions)


def describe_machine(device: torch.device) -> str:
    """Operating system, processor, cores and GPU."""
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{gpu}"


def restrict(classifier: Classifier, class_names: Sequence[str]) -> Classifier:
    """A classifier of only the classes ``class_names``, in that order.

    Raises:
        RequestError: it does not know one of them.
    """
    if unknown := [name for name in class_names if name not in classifier.class_names]:
        raise RequestError(
            f"the classifier does not know the class {listed(unknown)}; it can be restricted only "
            "to classes that it was trained on"
        )
    columns = [classifier.class_names.index(name) for name in class_names]
    frozen, method = ClassSubset(classifier.frozen, columns), classifier.method
    return Classifier(classifier.clip, frozen, class_names, method, classifier.information)
