"""Protocols: the training images of a trial, and its test sets as named evaluations.

Nothing is ever chosen on test images: they only enter the evaluations.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.dataset import Dataset, Split
from crossprompt.utils.config import require

Others: TypeAlias = Mapping[str, Dataset]
"""The data sets beside the one that is trained on, by name."""


@dataclass(frozen=True)
class Evaluation:
    """Test images with the classes to choose from."""

    name: str
    dataset: str
    """Source of the images."""
    split: Split
    """The images, labelled by ``class_names``."""
    class_names: tuple[str, ...]
    template: str
    """The data set's sentence for a class name."""
    classes: Literal["same", "some", "other"] = "same"
    """The classes trained on, some of them (the others' scores are left out), or others (for which
    the method makes new class features)."""


@dataclass(frozen=True)
class Trial:
    """A training set and its evaluations, the protocol's main one first."""

    few: Dataset
    """Training set; only its ``train`` and ``val`` images are used."""
    evaluations: tuple[Evaluation, ...]


class Protocol(ABC):
    """A way to train and test; subclasses are final."""

    name: ClassVar[str]
    summary: ClassVar[str]
    takes_targets: ClassVar[bool] = False
    """True if the user may name other data sets to test on."""

    def targets(self, dataset: str, chosen: Sequence[str], datasets: Sequence[str]) -> list[str]:
        """Other data sets that a run tests on, as part of its identity: those chosen by the user,
        or taken from the ``datasets`` of the grid."""
        return [name for name in chosen if name != dataset] if self.takes_targets else []

    def other_datasets(self, dataset: str, targets: Sequence[str]) -> tuple[str, ...]:
        """Data sets to load beside the one that is trained on."""
        return tuple(targets)

    @abstractmethod
    def trial(self, name: str, data: Dataset, others: Others, shots: int, seed: int) -> Trial:
        """Draw the training images from ``data``, which is called ``name``, and list the
        evaluations; ``RequestError`` if the data does not suit the protocol."""


class FewShot(Protocol):
    name = "few-shot"
    summary = "train on a few images per class, test on the data set's test images"

    def trial(self, name: str, data: Dataset, others: Others, shots: int, seed: int) -> Trial:
        return Trial(data.few_shot(shots, seed), own_evaluations(name, data))


class DomainGeneralization(Protocol):
    name = "domain-generalisation"
    summary = "train on one domain, test on it and on the same classes in other domains"
    takes_targets = True

    def other_datasets(self, dataset: str, targets: Sequence[str]) -> tuple[str, ...]:
        """The chosen ones, or the data set's shifted sets."""
        return tuple(targets) or (BENCHMARKS[dataset].shifted if dataset in BENCHMARKS else ())

    def trial(self, name: str, data: Dataset, others: Others, shots: int, seed: int) -> Trial:
        """A target of some of the classes is scored among those alone, as is usual for ImageNet's
        variants."""
        require(
            bool(others) or bool(data.shifted),
            f"{name} has no images of other domains; name data sets of the same classes with "
            "--targets, or choose another protocol than domain-generalisation",
        )
        for target, other in others.items():
            unknown = sorted(set(other.class_names) - set(data.class_names))
            require(
                not unknown,
                f"{target} has the class {unknown[:1]} and {name} has not; domain-generalisation "
                "tests on classes that were trained on, cross-dataset on others",
            )
        elsewhere = evaluations_on(others, "some")
        return Trial(data.few_shot(shots, seed), (*own_evaluations(name, data), *elsewhere))


class BaseToNew(Protocol):
    name = "base-to-new"
    summary = "train on the first half of the classes, test on both halves separately"

    def trial(self, name: str, data: Dataset, others: Others, shots: int, seed: int) -> Trial:
        """The classes are divided after the draw, as CoCoOp's authors do."""
        base, new = (data.few_shot(shots, seed).subset(which) for which in ("base", "new"))
        require(
            len(new.class_names) > 1,
            f"{name} has {len(data.class_names)} classes; base-to-new needs at least 4",
        )
        halves = (
            Evaluation("base", name, base.test, base.class_names, base.template),
            Evaluation("new", name, new.test, new.class_names, new.template, "other"),
        )
        return Trial(base, halves)


class CrossDataset(Protocol):
    name = "cross-dataset"
    summary = "train on one data set, test on others with their own class names"
    takes_targets = True

    def targets(self, dataset: str, chosen: Sequence[str], datasets: Sequence[str]) -> list[str]:
        """The chosen ones, or every other data set of the grid."""
        return [name for name in (chosen or datasets) if name != dataset]

    def trial(self, name: str, data: Dataset, others: Others, shots: int, seed: int) -> Trial:
        advice = "name other data sets with --targets, or give several --datasets"
        require(bool(others), f"cross-dataset trained on {name} has nothing to test on; {advice}")
        own, elsewhere = own_evaluations(name, data)[:1], evaluations_on(others, "other")
        return Trial(data.few_shot(shots, seed), (*own, *elsewhere))


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (FewShot(), DomainGeneralization(), BaseToNew(), CrossDataset())
}


def own_evaluations(name: str, data: Dataset) -> tuple[Evaluation, ...]:
    """Evaluations on a data set's own test and shifted images."""
    splits = {"test": data.test, **data.shifted}
    return tuple(
        Evaluation(test, name, split, data.class_names, data.template)
        for test, split in splits.items()
        if split
    )


def evaluations_on(others: Others, classes: Literal["some", "other"]) -> tuple[Evaluation, ...]:
    """Evaluations on the test images of other data sets, among their own classes."""
    return tuple(
        Evaluation(name, name, x.test, x.class_names, x.template, classes)
        for name, x in others.items()
    )
