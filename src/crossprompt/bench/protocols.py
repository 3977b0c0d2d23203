"""Protocols: what is trained on, and which test sets come out, each a named evaluation.

Nothing is ever chosen on test images: they only enter the evaluations.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.dataset import Dataset, Split
from crossprompt.utils.config import require

SHIFTED_DATASETS = {name: entry.shifted for name, entry in BENCHMARKS.items() if entry.shifted}
"""Data sets of the same classes, or some of them, in other images."""


@dataclass(frozen=True)
class Evaluation:
    """Test images, and the classes that are told apart on them."""

    name: str
    """What results call it."""
    dataset: str
    """Where the images are from."""
    split: Split
    """The images, labelled by ``class_names``."""
    class_names: tuple[str, ...]
    """What an answer may be."""
    template: str
    """The data set's sentence for a class name."""
    classes: Literal["same", "some", "other"] = "same"
    """Whether those are the classes trained on, some of them (the others' scores are left out), or
    others (the method is asked for new class features)."""


@dataclass(frozen=True)
class Trial:
    """A training and what it is tested on, the protocol's main evaluation first."""

    few: Dataset
    """Its ``train`` and ``val`` are learned from."""
    evaluations: tuple[Evaluation, ...]
    """At least one."""


class Protocol(ABC):
    """A way to train and test; subclasses are final."""

    name: ClassVar[str]
    """What the user types."""
    summary: ClassVar[str]
    """One line."""
    takes_targets: ClassVar[bool] = False
    """Whether the user may name other data sets to test on."""

    def targets(self, dataset: str, chosen: Sequence[str], datasets: Sequence[str]) -> list[str]:
        """The other data sets that a cell tests on, and that stand in it.

        Args:
            dataset: what is trained on.
            chosen: by the user.
            datasets: of the grid.
        """
        return [name for name in chosen if name != dataset] if self.takes_targets else []

    def other_datasets(self, dataset: str, targets: Sequence[str]) -> tuple[str, ...]:
        """What has to be loaded beside the data set that is trained on."""
        return tuple(targets)

    @abstractmethod
    def trial(
        self, name: str, data: Dataset, others: Mapping[str, Dataset], shots: int, seed: int
    ) -> Trial:
        """Draw what is trained on, and list what is tested on.

        Args:
            name: of the data set that is trained on.
            data: all of it.
            others: the ``other_datasets``.
            shots: training images per class.
            seed: of the draw.

        Raises:
            RequestError: the data does not suit the protocol.
        """


class FewShot(Protocol):
    """The test split, and the shifted sets of the same data set if it has any."""

    name = "few-shot"
    summary = "train on a few images per class, test on the data set's test images"

    def trial(
        self, name: str, data: Dataset, others: Mapping[str, Dataset], shots: int, seed: int
    ) -> Trial:
        """Everything is of one data set."""
        return Trial(data.few_shot(shots, seed), own_evaluations(name, data))


class DomainGeneralisation(Protocol):
    """The test split, then images of the same classes from elsewhere."""

    name = "domain-generalisation"
    summary = "train on one domain, test on it and on the same classes in other domains"
    takes_targets = True

    def other_datasets(self, dataset: str, targets: Sequence[str]) -> tuple[str, ...]:
        """Those that were chosen, or those known to go with the data set."""
        return tuple(targets) or SHIFTED_DATASETS.get(dataset, ())

    def trial(
        self, name: str, data: Dataset, others: Mapping[str, Dataset], shots: int, seed: int
    ) -> Trial:
        """A target of some of the classes is scored among those alone, as is usual for ImageNet's
        variants."""
        require(
            bool(others) or bool(data.shifted),
            f"{name} has no images of other domains, which domain-generalisation tests on; name "
            "data sets of the same classes with --targets, or choose another protocol",
        )
        known = set(data.class_names)
        for target, other in others.items():
            unknown = [x for x in other.class_names if x not in known]
            require(
                not unknown,
                f"domain-generalisation tests on classes that were trained on, but {target} has "
                f"{unknown[:1]} and {name} has not; for other classes choose cross-dataset",
            )
        elsewhere = (
            Evaluation(target, target, x.test, x.class_names, x.template, "some")
            for target, x in others.items()
        )
        return Trial(data.few_shot(shots, seed), (*own_evaluations(name, data), *elsewhere))


class BaseToNew(Protocol):
    """Half of the classes are trained on; both halves are tested, each among its own classes."""

    name = "base-to-new"
    summary = "train on the first half of the classes, test on both halves separately"

    def trial(
        self, name: str, data: Dataset, others: Mapping[str, Dataset], shots: int, seed: int
    ) -> Trial:
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
    """Other data sets are tested with their own class names."""

    name = "cross-dataset"
    summary = "train on one data set, test on others with their own class names"
    takes_targets = True

    def targets(self, dataset: str, chosen: Sequence[str], datasets: Sequence[str]) -> list[str]:
        """Those that were chosen, or every other data set of the grid."""
        return [name for name in (chosen or datasets) if name != dataset]

    def trial(
        self, name: str, data: Dataset, others: Mapping[str, Dataset], shots: int, seed: int
    ) -> Trial:
        """The same prompts with every target's class names."""
        require(
            bool(others),
            f"cross-dataset trained on {name} has nothing to test on; name other data sets with "
            "--targets, or give several --datasets",
        )
        own = own_evaluations(name, data)[:1]
        targets = (
            Evaluation(target, target, x.test, x.class_names, x.template, "other")
            for target, x in others.items()
        )
        return Trial(data.few_shot(shots, seed), (*own, *targets))


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (FewShot(), DomainGeneralisation(), BaseToNew(), CrossDataset())
}
"""Name to protocol."""


def own_evaluations(name: str, data: Dataset) -> tuple[Evaluation, ...]:
    """On a data set's own test and shifted images."""
    splits = {"test": data.test, **data.shifted}
    return tuple(
        Evaluation(test, name, split, data.class_names, data.template)
        for test, split in splits.items()
        if split
    )
