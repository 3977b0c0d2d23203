"""One training of a grid, and the measurements that its cells ask for."""

import os
import platform
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch

from crossprompt.bench.grid import Cell
from crossprompt.bench.loaders import load_data
from crossprompt.bench.protocols import PROTOCOLS, Evaluation, Trial
from crossprompt.classifier.classifier import BATCH, Classifier, freeze
from crossprompt.classifier.evaluate import Result, evaluate_encoded
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Dataset, Split
from crossprompt.errors import JobError, RequestError, UnsuitableError
from crossprompt.methods import Method
from crossprompt.methods.heads.subset import ClassSubset
from crossprompt.training.checkpoint import STATE
from crossprompt.training.config import FitConfig
from crossprompt.training.fit import describe_training
from crossprompt.training.run_folder import library_versions
from crossprompt.training.train import train
from crossprompt.utils.progress import StepReport

Done = TypeVar("Done")
SHOWN = ("accuracy", "interval", "macro_f1", "ece", "n", "per_class")
"""What a line keeps of a ``Result``."""


class NotApplicableError(RequestError):
    """The method or the data cannot do what the protocol asks; nothing has failed."""


@dataclass(frozen=True)
class Asked:
    """A training of a grid, with all that it needs."""

    cell: Cell
    """Which training."""
    clip: CLIP = field(repr=False)
    """The backbone."""
    root: str | None = None
    """Folder of the data sets."""
    on_step: Callable[[StepReport], None] | None = field(default=None, repr=False, compare=False)
    """Called after every step of the training."""

    @property
    def job(self) -> FitConfig:
        """The training as ``fit`` knows it."""
        cell = self.cell
        return FitConfig(
            data=cell.dataset,
            method=cell.method,
            backbone=cell.backbone,
            shots=cell.shots,
            seed=cell.seed,
            options=cell.options,
            training=cell.training,
        )

    @cached_property
    def data(self) -> Dataset:
        """All of the data set that is trained on."""
        return load_data(self.cell.dataset, self.root)

    @cached_property
    def trial(self) -> Trial:
        """What is trained on and what is tested.

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

    def build(self) -> Method:
        """The method, untrained.

        Raises:
            NotApplicableError: it cannot answer for other classes and the protocol asks for that.
        """
        method = self.job.build_method(self.clip, self.trial.few)
        for evaluation in self.trial.evaluations:
            self.method_for(evaluation, method)
        return method

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


@dataclass(frozen=True)
class Trained:
    """A method after its training, to be measured."""

    asked: Asked
    method: Method
    seconds: float
    """That the training took, since it was last resumed."""

    def measure(self, cell: Cell) -> dict[str, Any]:
        """What a line says of a cell, which says how the method is asked."""
        began = time.perf_counter()
        few, clip = self.asked.trial.few, self.asked.clip
        own = self.freeze(self.method, cell)
        results = [
            {"name": evaluation.name, "dataset": evaluation.dataset, **shown(result)}
            for evaluation in self.asked.trial.evaluations
            for result in [self.evaluate(evaluation, own, cell)]
        ]
        return {
            "results": results,
            "settings": {
                "method": self.method.config.to_json(),
                "training": describe_training(self.asked.job, few),
            },
            "trained_parameters": sum(x.numel() for x in self.method.parameters()),
            "classifier_bytes": sum(x.nbytes for x in own.frozen.state_dict().values()),
            "seconds": {
                "train": round(self.seconds, 3),
                "evaluate": round(time.perf_counter() - began, 3),
            },
            "weights_hash": clip.weights_hash,
            "data_fingerprint": self.asked.data.fingerprint,
            "versions": library_versions(),
            "machine": describe_machine(clip.device),
        }

    def evaluate(self, evaluation: Evaluation, own: Classifier, cell: Cell) -> Result:
        """Measure on one test set.

        Args:
            evaluation: which.
            own: the classifier of the classes that were trained on.
            cell: how to ask.
        """
        classifier = own
        if evaluation.classes == "other":
            classifier = self.freeze(self.asked.method_for(evaluation, self.method), cell)
        elif evaluation.classes == "some":
            classifier = restrict(own, evaluation.class_names)
        split = evaluation.split
        if cell.batch_order is not None:
            split = in_order(split, cell.batch_order, cell.seed)
        return evaluate_encoded(classifier, split, cell.test_batch_size or BATCH)

    def freeze(self, method: Method, cell: Cell) -> Classifier:
        """The method as the cell's inference has it; calibrated on what was trained on."""
        few = self.asked.trial.few
        inference: Any = cell.inference
        return freeze(
            method,
            self.asked.clip,
            few.train,
            val=few.val,
            inference=inference,
            seed=cell.seed,
        )


def prepare(asked: Asked, states: Path) -> Trained:
    """Train, or go on with a training that was interrupted.

    Args:
        asked: which training.
        states: where its state is kept.
    """
    return resumed(lambda resume: _train(asked, states, resume), states)


def resumed(train: Callable[[bool], Done], states: Path) -> Done:
    """Train, from the state that is there if it is good.

    Args:
        train: told whether to go on.
        states: where the state is.
    """
    resume = (states / STATE).exists()
    try:
        return train(resume)
    except RequestError:
        if not resume:
            raise
        # a state that is damaged, or of other data; if it is not that, it fails again
        return train(False)


def advise(error: JobError, method: str) -> JobError:
    """A failed training's error, with advice for who has a grid and not a run folder."""
    what = str(error).partition(";")[0]
    return JobError(f"{what}; try a lower learning rate, as in {method}:lr=0.001")


def _train(asked: Asked, states: Path, resume: bool) -> Trained:
    began = time.perf_counter()
    method, few = asked.build(), asked.trial.few
    config = asked.job.train_config()
    try:
        train(
            method,
            asked.clip,
            few.train,
            config,
            val=few.val,
            folder=states,
            resume=resume,
            on_step=asked.on_step,
        )
    except JobError as error:
        raise advise(error, method.name) from error
    return Trained(asked, method, time.perf_counter() - began)


def in_order(split: Split, order: str, seed: int) -> Split:
    """The images in one of ``ORDERS``."""
    positions = list(range(len(split)))
    if order == "sorted":
        positions.sort(key=lambda position: split.labels[position])
    elif order == "shuffled":
        random.Random(seed).shuffle(positions)
    return split.take(positions)


def shown(result: Result) -> dict[str, Any]:
    """What a line keeps of a result."""
    values: Mapping[str, Any] = result.to_json()
    return {name: values[name] for name in SHOWN}


def describe_machine(device: torch.device) -> str:
    """Operating system, processor, cores and GPU."""
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{gpu}"


def restrict(classifier: Classifier, class_names: Sequence[str]) -> Classifier:
    """A classifier that tells apart only the classes ``class_names``, in that order.

    Raises:
        RequestError: it does not know one of them.
    """
    numbers = {name: number for number, name in enumerate(classifier.class_names)}
    if unknown := [name for name in class_names if name not in numbers]:
        raise RequestError(
            f"the classifier does not know the class {unknown[0]!r}"
            f"{f' and {len(unknown) - 1} more' if unknown[1:] else ''}; it can be restricted only "
            "to classes that it was trained on"
        )
    columns = [numbers[name] for name in class_names]
    frozen = ClassSubset(classifier.frozen, columns)
    return Classifier(
        classifier.clip, frozen, class_names, classifier.method, classifier.information
    )
