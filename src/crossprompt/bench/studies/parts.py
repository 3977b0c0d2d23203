"""The parts of a study: a data set under a protocol, with its trainings, steps and test images."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from crossprompt.bench.grid import Cell
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.methods import find_method
from crossprompt.methods.base import Recipe
from crossprompt.training.config import TrainConfig

SHIFT = "domain-generalisation"
"""The protocol that tests on shifted sets too."""


def recipe_of(cell: Cell) -> Recipe:
    """How a cell's method is trained."""
    config = TrainConfig.of({**cell.training}, "train")
    return config.recipe_of(find_method(cell.method), cell.shots)


@dataclass(frozen=True)
class Training:
    """One training, and every cell that is asked of it."""

    cells: tuple[Cell, ...]
    """They differ in nothing but how the trained method is asked."""

    @property
    def cell(self) -> Cell:
        """Stands for what its cells share."""
        return self.cells[0]

    @property
    def steps(self) -> int:
        """Of all epochs, on as many images as the published classes have shots."""
        cell, benchmark = self.cell, BENCHMARKS[self.cell.dataset]
        recipe = recipe_of(cell)
        images = min(cell.shots * benchmark.classes, benchmark.sizes["train"])
        return recipe.for_images(images).epochs * max(1, images // recipe.batch_size)


@dataclass(frozen=True)
class Part:
    """A data set of a study, under one protocol."""

    dataset: str
    """Trained on."""
    protocol: str
    """One of ``bench``."""
    cells: tuple[Cell, ...] = field(repr=False)
    """All that belong to it."""

    @property
    def title(self) -> str:
        """What a list calls it."""
        return f"{self.dataset}, shifted" if self.protocol == SHIFT else self.dataset

    @cached_property
    def trainings(self) -> list[Training]:
        """Its cells, by what is trained."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.of_training.key, []).append(cell)
        return [Training(tuple(cells)) for cells in found.values()]

    @property
    def steps(self) -> int:
        """Of all trainings."""
        return sum(training.steps for training in self.trainings)

    @property
    def tests(self) -> int:
        """Test images to be classified, over all cells."""
        return len(self.cells) * self.tests_of_a_cell

    @property
    def tests_of_a_cell(self) -> int:
        """Published number of test images, with those of the shifted sets where they are asked."""
        benchmark = BENCHMARKS[self.dataset]
        shifted = benchmark.shifted if self.protocol == SHIFT else ()
        return sum(BENCHMARKS[name].sizes["test"] for name in (self.dataset, *shifted))


def parts_of(cells: Iterable[Cell]) -> list[Part]:
    """The parts that cells belong to, in the order in which they come."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.dataset, cell.protocol), []).append(cell)
    return [Part(*key, tuple(members)) for key, members in found.items()]
