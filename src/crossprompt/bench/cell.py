"""A cell of a benchmark grid: what is trained on what, and how it is asked."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

ORDERS = ("listed", "sorted", "shuffled")
"""Of the test images: as the data set lists them, by label, or shuffled by the cell's seed."""


@dataclass(frozen=True)
class Cell:
    """Everything that identifies one result; the same cell is never computed twice."""

    protocol: str
    """One of ``PROTOCOLS``."""
    dataset: str
    """What is trained on."""
    method: str
    """One of ``METHODS``."""
    backbone: str
    """What ``load_clip`` takes."""
    dtype: str
    """What the towers compute in: ``fp32``, ``bf16`` or ``fp16``."""
    shots: int
    """Training images per class."""
    seed: int
    """Of the draw, the start values and the order of the images."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the method's defaults."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the method's recipe."""
    inference: str = "calibrated"
    """``calibrated``, ``per-image`` or ``batch``."""
    test_batch_size: int | None = None
    """Test images at a time, where ``inference`` is ``batch``."""
    batch_order: str | None = None
    """One of ``ORDERS``, likewise."""
    targets: tuple[str, ...] = ()
    """Other data sets that are tested on, where the protocol asks for some."""

    def to_json(self) -> dict[str, Any]:
        """As plain values; ``targets`` only where there are some."""
        values = json.loads(json.dumps(asdict(self)))  # as they are when read again
        return values if self.targets else {k: v for k, v in values.items() if k != "targets"}

    @property
    def key(self) -> str:
        """The same for the same cell, whatever the order of its settings."""
        return key_of(self.to_json())

    @property
    def of_training(self) -> "Cell":
        """The cell that shares the training with this one and stands for it."""
        return replace(self, inference="calibrated", test_batch_size=None, batch_order=None)

    @property
    def digest(self) -> str:
        """A short name for files."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """In words, for messages."""
        settings = {**self.options, **self.training}
        with_settings = "".join(f" {name}={value}" for name, value in settings.items())
        asked = "" if self.inference == "calibrated" else f", {self.inference}"
        if self.inference == "batch":
            asked += f" of {self.test_batch_size} {self.batch_order}"
        return (
            f"{self.protocol} {self.dataset}: {self.method}{with_settings} on {self.backbone}, "
            f"{self.shots} {'shot' if self.shots == 1 else 'shots'}, seed {self.seed}{asked}"
        )


def key_of(cell: Mapping[str, Any]) -> str:
    """The key of a cell as it stands in a line."""
    return json.dumps(cell, sort_keys=True)
