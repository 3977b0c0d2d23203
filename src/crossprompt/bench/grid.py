"""A grid: every combination of data set, method, backbone, shots and seed, as runs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any, Literal, get_args

from crossprompt.bench.loaders import domains_of, parts_of
from crossprompt.bench.method_spec import Choice
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.classifier.classifier import Inference
from crossprompt.methods import find_method
from crossprompt.training.config import TrainConfig
from crossprompt.utils.config import require
from crossprompt.utils.text import did_you_mean

Order = Literal["listed", "sorted", "shuffled"]
ORDERS = get_args(Order)
"""Orders of the test images: the data set's, by label, or shuffled by the run's seed."""


@dataclass(frozen=True)
class Cell:
    """The identity of one run; the same one is never computed twice."""

    protocol: str
    dataset: str
    """Name of the training data set."""
    method: str
    backbone: str
    """Name or path of the backbone, see ``load_clip``."""
    dtype: str
    """Dtype of the towers: ``fp32``, ``bf16`` or ``fp16``."""
    shots: int
    """Training images per class."""
    seed: int
    """Seed of the few-shot draw, the start values and the order of the images."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the method's defaults."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the method's recipe."""
    inference: Inference = "calibrated"
    """Inference mode; the next two are set for ``batch`` alone."""
    test_batch_size: int | None = None
    batch_order: Order | None = None
    targets: tuple[str, ...] = ()
    """Other data sets that the protocol tests on."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; ``targets`` only if there are some."""
        values = json.loads(json.dumps(asdict(self)))  # lists for tuples, as JSON is read
        return values if self.targets else {k: v for k, v in values.items() if k != "targets"}

    @property
    def key(self) -> str:
        """Text that identifies the run, whatever the order of its settings."""
        return key_of(self.to_json())

    @property
    def of_training(self) -> "Cell":
        """The run that stands for all with this training."""
        return replace(self, inference="calibrated", test_batch_size=None, batch_order=None)

    @property
    def digest(self) -> str:
        """A short name for files."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """A summary for messages."""
        settings = {**self.options, **self.training}
        with_settings = "".join(f" {name}={value}" for name, value in settings.items())
        inference = "" if self.inference == "calibrated" else f", {self.inference}"
        if self.inference == "batch":
            inference += f" of {self.test_batch_size} {self.batch_order}"
        return (
            f"{self.protocol} {self.dataset}: {self.method}{with_settings} on {self.backbone}, "
            f"{self.shots} {'shot' if self.shots == 1 else 'shots'}, seed {self.seed}{inference}"
        )


def key_of(cell: Mapping[str, Any]) -> str:
    """The key of a run, from its JSON in a record."""
    return json.dumps(cell, sort_keys=True)


@dataclass(frozen=True)
class Grid:
    """Values to combine, see ``Cell``; each list has at least one entry."""

    datasets: Sequence[str]
    """Names, see ``load_dataset``; several that are trained together are joined by ``+``."""
    methods: Sequence[Choice]
    shots: Sequence[int] = (1, 2, 4, 8, 16)
    seeds: Sequence[int] = (1, 2, 3)
    protocols: Sequence[str] = ("few-shot",)
    backbones: Sequence[str] = ("tiny",)
    dtype: str = "fp32"
    inference: Sequence[str] = ("calibrated",)
    test_batch_sizes: Sequence[int] = (16,)
    batch_orders: Sequence[str] = ("listed",)
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of every training; a method's own win, and one without steps has none."""
    targets: Sequence[str] = ()
    """Other data sets to test on, for protocols that take some."""

    def cells(self) -> list[Cell]:
        """Every run once, those of a training together.

        Raises:
            RequestError: a name or a setting is unknown, impossible or would be ignored.
        """
        self._check()
        cells = [
            Cell(
                protocol=protocol,
                dataset=dataset,
                method=choice.method,
                backbone=backbone,
                dtype=self.dtype,
                shots=shots,
                seed=seed,
                options=changed_options(choice),
                training=changed_training(self._training_of(choice), choice.method, shots),
                targets=self._targets(protocol, dataset),
                **inference,
            )
            for protocol, dataset, backbone, choice, shots, seed, inference in product(
                self.protocols,
                [domain for name in self.datasets for domain in domains_of(name)],
                self.backbones,
                self.methods,
                self.shots,
                self.seeds,
                self._inferences(),
            )
        ]
        return list({cell.key: cell for cell in cells}.values())

    def _targets(self, protocol: str, dataset: str) -> tuple[str, ...]:
        if len(parts_of(dataset)) > 1:
            return ()
        alone = [name for name in self.datasets if len(parts_of(name)) == 1]
        return tuple(PROTOCOLS[protocol].targets(dataset, self.targets, alone))

    def _training_of(self, choice: Choice) -> dict[str, Any]:
        trained = find_method(choice.method).recipe(1).trains
        return {**(self.training if trained else {}), **choice.training}

    def _inferences(self) -> list[dict[str, Any]]:
        batches = list(product(self.test_batch_sizes, self.batch_orders))
        return [
            {"inference": inference, "test_batch_size": size, "batch_order": order}
            for inference in self.inference
            for size, order in (batches if inference == "batch" else [(None, None)])
        ]

    def _check(self) -> None:
        for what, given, known in (
            ("protocol", self.protocols, tuple(PROTOCOLS)),
            ("inference", self.inference, get_args(Inference)),
            ("batch order", self.batch_orders, ORDERS),
        ):
            for word in given:
                hint = did_you_mean(word, known)
                require(word in known, f"there is no {what} {word!r}; {hint}")
        for what, numbers in (("shots", self.shots), ("test batch size", self.test_batch_sizes)):
            require(min(numbers) >= 1, f"{what} is {min(numbers)}, expected 1 or more")
        for name in self.datasets:
            parts = parts_of(name)
            twice = [part for part in parts if parts.count(part) > 1]
            require(not twice, f"{name} holds {twice[:1]} twice; name each data set once")
        takes = any(PROTOCOLS[protocol].takes_targets for protocol in self.protocols)
        require(
            takes or not self.targets,
            f"{' and '.join(self.protocols)} tests on no other data sets, so --targets would be "
            "ignored; leave it out",
        )
        for choice, seed, shots in product(self.methods, self.seeds, self.shots):
            config = TrainConfig.of({"seed": seed, **self._training_of(choice)}, choice.method)
            config.recipe_of(find_method(choice.method), shots)


def changed_options(choice: Choice) -> dict[str, Any]:
    """The settings that differ from the method's defaults.

    The template always counts as different: its default gives way to the data set's own.
    """
    config = find_method(choice.method).Config
    given, defaults = config.of(choice.options, choice.method).to_json(), config().to_json()
    return {
        name: given[name]
        for name in given
        if given[name] != defaults[name] or (name == "template" and name in choice.options)
    }


def changed_training(training: Mapping[str, Any], method: str, shots: int) -> dict[str, Any]:
    """The user's settings that differ from the method's recipe.

    Where classes have fewer images than ``shots`` the recipe is that of fewer shots, so a setting
    is left out only if it is that of the recipe for all of them.
    """
    recipes = [find_method(method).recipe(count) for count in range(1, shots + 1)]
    values = TrainConfig.of(training, method).to_json()
    return {
        name: values[name]
        for name in sorted(training)
        if any(values[name] != getattr(x, name, getattr(TrainConfig, name)) for x in recipes)
    }
