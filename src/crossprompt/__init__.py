"""crossprompt: adapt a frozen CLIP to a handful of labelled images per class.

The public names are imported when they are asked for: torch and scikit-learn take seconds, and who
runs an exported classifier needs neither.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossprompt.artifact import load as load
    from crossprompt.classifier import Classifier as Classifier
    from crossprompt.classifier import freeze as freeze
    from crossprompt.clip.model import CLIP as CLIP
    from crossprompt.clip.weights import load_clip as load_clip
    from crossprompt.data.items import Dataset as Dataset
    from crossprompt.data.items import Item as Item
    from crossprompt.data.items import Split as Split
    from crossprompt.data.registry import load_dataset as load_dataset
    from crossprompt.errors import CrosspromptError as CrosspromptError
    from crossprompt.errors import JobError as JobError
    from crossprompt.errors import RequestError as RequestError
    from crossprompt.estimator import PromptClassifier as PromptClassifier
    from crossprompt.evaluate import Result as Result
    from crossprompt.evaluate import evaluate as evaluate
    from crossprompt.methods import METHODS as METHODS
    from crossprompt.methods import Method as Method
    from crossprompt.methods import build_method as build_method
    from crossprompt.onnx_classifier import OnnxClassifier as OnnxClassifier
    from crossprompt.onnx_classifier import load_onnx as load_onnx
    from crossprompt.prediction import Prediction as Prediction
    from crossprompt.train import train as train
    from crossprompt.train_config import TrainConfig as TrainConfig

HOMES = {
    "CLIP": "crossprompt.clip.model",
    "Classifier": "crossprompt.classifier",
    "CrosspromptError": "crossprompt.errors",
    "Dataset": "crossprompt.data.items",
    "Item": "crossprompt.data.items",
    "JobError": "crossprompt.errors",
    "METHODS": "crossprompt.methods",
    "Method": "crossprompt.methods",
    "Prediction": "crossprompt.prediction",
    "OnnxClassifier": "crossprompt.onnx_classifier",
    "PromptClassifier": "crossprompt.estimator",
    "RequestError": "crossprompt.errors",
    "Result": "crossprompt.evaluate",
    "Split": "crossprompt.data.items",
    "TrainConfig": "crossprompt.train_config",
    "build_method": "crossprompt.methods",
    "evaluate": "crossprompt.evaluate",
    "freeze": "crossprompt.classifier",
    "load": "crossprompt.artifact",
    "load_clip": "crossprompt.clip.weights",
    "load_dataset": "crossprompt.data.registry",
    "load_onnx": "crossprompt.onnx_classifier",
    "train": "crossprompt.train",
}
"""Public name to the module that defines it."""
__all__ = [*HOMES]


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    """What there is, imported or not."""
    return sorted({*globals(), *HOMES})


class _Package(ModuleType):
    """Keeps ``crossprompt.train`` and ``crossprompt.evaluate`` the functions that they are, where
    importing the modules of these names would put the modules in their place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
