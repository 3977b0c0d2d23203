"""crossprompt: adapt a frozen CLIP to a handful of labelled images per class."""

from typing import TYPE_CHECKING, Any

from crossprompt.artifact import load as load
from crossprompt.classifier import Classifier as Classifier
from crossprompt.classifier import Prediction as Prediction
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
from crossprompt.evaluate import Result as Result
from crossprompt.evaluate import evaluate as evaluate
from crossprompt.methods import METHODS as METHODS
from crossprompt.methods import Method as Method
from crossprompt.methods import build_method as build_method
from crossprompt.train import train as train
from crossprompt.train_config import TrainConfig as TrainConfig

if TYPE_CHECKING:
    from crossprompt.estimator import PromptClassifier as PromptClassifier


def __getattr__(name: str) -> Any:
    """``PromptClassifier`` when it is asked for: scikit-learn takes a second to import."""
    if name == "PromptClassifier":
        from crossprompt.estimator import PromptClassifier

        return PromptClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
