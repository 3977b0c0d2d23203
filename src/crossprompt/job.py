"""What to fit on what: a job, and the steps that turn its words into data, backbone and method."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from crossprompt.clip.model import CLIP
from crossprompt.clip.weights import load_clip
from crossprompt.data.items import Dataset
from crossprompt.data.registry import OWN, load_dataset
from crossprompt.methods import Method, build_from, find_method
from crossprompt.precision import choose_device, choose_dtype
from crossprompt.train_config import TrainConfig


@dataclass(frozen=True)
class Job:
    """What to fit on what; everything that the result depends on."""

    data: str
    """Name of a data set, a folder or a CSV file."""
    method: str = "dcp"
    """One of ``METHODS``."""
    backbone: str = "tiny"
    """What ``load_clip`` takes."""
    shots: int | None = 16
    """Training images per class; None uses all."""
    seed: int = 1
    """Of the few-shot draw, the start values and the order of the images."""
    root: str | None = None
    """Folder that holds the data set."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training, see ``TrainConfig``."""
    class_names: str | None = None
    """File with class names."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read."""
    device: str = "auto"
    """Where to compute."""
    dtype: str = "auto"
    """What the frozen towers compute in."""

    def train_config(self) -> TrainConfig:
        """The settings of the training, with the job's seed."""
        return TrainConfig.of({"seed": self.seed, **self.training}, "train")

    def check(self) -> None:
        """Find what is wrong with the words alone, before any work.

        Raises:
            RequestError: a name or a setting is unknown, impossible or would be ignored.
        """
        method = find_method(self.method)
        method.Config.of(self.options, self.method)
        self.train_config().recipe_of(method, self.shots or 1)

    def load_data(self) -> Dataset:
        """The whole data set; nothing is drawn or read yet."""
        names = {} if self.class_names is None else {"class_names": self.class_names}
        return load_dataset(self.data, root=self.root, **names)

    def load_backbone(self, device: torch.device | None = None) -> CLIP:
        """The frozen CLIP, on ``device`` if that is already decided."""
        device = device or choose_device(self.device)
        return load_clip(self.backbone, device=device, dtype=choose_dtype(self.dtype, device))

    def build_method(self, clip: CLIP, data: Dataset) -> Method:
        """The method; its ``template``, if it has one, is the data's unless the user sets it."""
        settings = find_method(self.method).Config.of({}, self.method).to_json()
        options = {"template": (data.template,)} if "template" in settings else {}
        options |= self.options
        return build_from(self.method, clip, data.class_names, options, self.seed)

    def default_output(self) -> Path:
        """``runs/DATA-METHOD``."""
        # where a data set has a name, the root only holds it
        place = Path(self.root if self.root is not None and self.data in OWN else self.data)
        name = place.stem if place.suffix.lower() == ".csv" else place.resolve().name
        return Path("runs") / f"{name.replace(':', '-') or 'data'}-{self.method}"
