"""What a study takes on this machine, from published sizes and a few steps on random images.

Reading images from the disk and decoding them is not in it: that depends on the disk, and goes on
beside the steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossprompt.bench.grid import Cell
from crossprompt.bench.studies.parts import Part
from crossprompt.bench.studies.probe import Cost, measure
from crossprompt.bench.studies.study import TEST_BATCH
from crossprompt.clip.model import CLIP
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.training.memory import held_memory

LINE_BYTES = 20_000
"""Of a line of results, about: most is the accuracy of every class."""


@dataclass(frozen=True)
class Estimate:
    """What a part of a study takes."""

    part: Part
    """Which."""
    hours: float
    """Of one training after the other."""
    peak_gb: float
    """At the highest, of a training step."""
    disk_mb: float
    """Of results, and of the largest state that is kept while a training runs."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        part = self.part
        return {
            "dataset": part.dataset,
            "protocol": part.protocol,
            "results": len(part.cells),
            "trainings": len(part.trainings),
            "steps": part.steps,
            "tests": part.tests,
            "hours": self.hours,
            "peak_gb": self.peak_gb,
            "disk_mb": self.disk_mb,
        }


def estimate(
    parts: Sequence[Part], clip: CLIP, say: Callable[[str], None] = lambda _: None
) -> list[Estimate]:
    """What every part takes.

    Args:
        parts: of a study.
        clip: the backbone, where it is to be trained.
        say: told what is being measured.
    """
    costs = _Costs(clip, say)
    return [_estimate(part, costs) for part in parts]


def total(estimates: Sequence[Estimate]) -> Mapping[str, float]:
    """Hours, GB and MB of all parts."""
    return {
        "hours": round(sum((x.hours for x in estimates), 0.0), 1),
        "peak_gb": max((x.peak_gb for x in estimates), default=0.0),
        "disk_mb": round(sum((x.disk_mb for x in estimates), 0.0), 1),
    }


class _Costs:
    """Measures each method once with the classes of each data set."""

    def __init__(self, clip: CLIP, say: Callable[[str], None]) -> None:
        self._clip, self._say = clip, say
        # of a fresh process: what is freed after a step need not go back to the system
        self.held = held_memory(clip.device)
        self._known: dict[tuple[str, str, str], Cost] = {}

    def of(self, cell: Cell) -> Cost:
        key = (cell.dataset, cell.method, str(cell.options))
        if key not in self._known:
            count = BENCHMARKS[cell.dataset].classes
            self._say(f"measuring a step with the {count:,} classes of {cell.dataset}")
            self._known[key] = measure(cell, self._clip)
        return self._known[key]


def _estimate(part: Part, costs: _Costs) -> Estimate:
    seconds, batches = 0.0, part.tests_of_a_cell / TEST_BATCH
    for training in part.trainings:
        cost = costs.of(training.cell)
        seconds += training.steps * cost.step
        for cell in training.cells:
            seconds += batches * (cost.encode if cell.inference == "calibrated" else cost.score)
    each = [costs.of(training.cell) for training in part.trainings]
    return Estimate(
        part,
        round(seconds / 3600, 2),
        round((costs.held + max(cost.memory for cost in each)) / 1e9, 2),
        round((len(part.cells) * LINE_BYTES + 2 * max(cost.learned for cost in each)) / 1e6, 1),
    )
