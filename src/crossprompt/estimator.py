"""The scikit-learn manner: fit on a folder or on files and labels, predict, score."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from crossprompt.classifier import Classifier, Prediction
from crossprompt.data.images import list_images
from crossprompt.data.items import Dataset, Split
from crossprompt.data.registry import load_dataset
from crossprompt.errors import RequestError
from crossprompt.fitting import Job, fit_data

Files = str | PathLike[str] | Sequence[str | PathLike[str]]


class PromptClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Few-shot image classification with a frozen CLIP.

    Args:
        method: one of ``METHODS``.
        backbone: what ``load_clip`` takes.
        shots: training images per class; None uses all.
        seed: of everything random.
        options: settings of the method.
        training: settings of the training, see ``TrainConfig``.
        device: where to compute.
        dtype: what the frozen towers compute in.

    Attributes:
        classes_: the class names.
        classifier_: the frozen ``Classifier``.
    """

    def __init__(
        self,
        method: str = "dcp",
        backbone: str = "tiny",
        shots: int | None = 16,
        seed: int = 1,
        options: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.shots = shots
        self.seed = seed
        self.options = options
        self.training = training
        self.device = device
        self.dtype = dtype

    def fit(self, X: Files, y: Sequence[Any] | None = None) -> "PromptClassifier":  # noqa: N803  scikit-learn's names
        """Learn from a folder of class folders, or from image files with labels.

        Args:
            X: a folder, a CSV file or the name of a data set; or image files.
            y: one label per file; left out for a folder.

        Raises:
            RequestError: the data cannot be used.
        """
        data = _load(X, test=0) if y is None else _listed(X, y)
        job = Job(
            data=data.name,
            method=self.method,
            backbone=self.backbone,
            shots=self.shots,
            seed=self.seed,
            options=self.options or {},
            training=self.training or {},
            device=self.device,
            dtype=self.dtype,
        )
        self.classifier_, _ = fit_data(job, data)
        self.classes_ = np.array(self.classifier_.class_names)
        return self

    def predict(self, X: Files) -> np.ndarray:  # noqa: N803
        """The class name of every image of a list or folder."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def predict_proba(self, X: Files) -> np.ndarray:  # noqa: N803
        """Probabilities ``[images, classes]``, columns as in ``classes_``."""
        check_is_fitted(self)
        classifier: Classifier = self.classifier_
        predictions = classifier.predict(_files(X), top_k=len(self.classes_))
        return np.array([_row(prediction, classifier.class_names) for prediction in predictions])

    def score(self, X: Files, y: Sequence[Any] | None = None, sample_weight: Any = None) -> float:  # noqa: N803
        """Share of images that are right: of a folder of class folders, or of files with labels."""
        if y is None:
            data = _load(X, test=1)
            if not data.test:
                raise RequestError(f"{X} holds no test images to score on")
            X = data.test.paths  # noqa: N806
            y = [data.class_names[label] for label in data.test.labels]
        return float(super().score(X, [str(label) for label in y], sample_weight))


def _load(source: Files, test: int) -> Dataset:
    """A data set whose images are all for training or all for testing, unless it says itself which
    are which."""
    if not isinstance(source, (str, PathLike)):
        raise RequestError("labels are missing: expected y with one label for each file")
    try:
        return load_dataset(source, val=0, test=test)
    except RequestError:  # it has splits of its own, or is at fault, which is told again here
        return load_dataset(source)


def _listed(files: Files, labels: Sequence[Any]) -> Dataset:
    if isinstance(files, (str, PathLike)) or len(files) != len(labels):
        found = "a single path" if isinstance(files, (str, PathLike)) else f"{len(files)} files"
        raise RequestError(
            f"found {found} and {len(labels)} labels, expected as many files as labels"
        )
    names = sorted({str(label) for label in labels})
    train = Split.of(files, [names.index(str(label)) for label in labels])
    return Dataset("files", tuple(names), train)


def _files(source: Files) -> Sequence[str | PathLike[str]]:
    return list_images(source) if isinstance(source, (str, PathLike)) else source


def _row(prediction: Prediction, class_names: Sequence[str]) -> list[float]:
    if prediction.error is not None:
        raise RequestError(f"{prediction.path} cannot be classified: {prediction.error}")
    probabilities = dict(prediction.top)
    return [probabilities[name] for name in class_names]
