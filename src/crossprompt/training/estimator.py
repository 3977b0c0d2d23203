"""scikit-learn estimator: fit on a folder or on files with labels, predict, score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from crossprompt.classifier.classifier import Classifier
from crossprompt.data.class_names import readable
from crossprompt.data.dataset import Dataset, Split
from crossprompt.data.files import list_images
from crossprompt.data.held_out import choose_held_out, relabel
from crossprompt.data.registry import load_dataset
from crossprompt.errors import RequestError
from crossprompt.training.config import FitConfig
from crossprompt.training.fit import fit
from crossprompt.utils.progress import NOTE, Silent

Files = str | PathLike[str] | Sequence[str | PathLike[str]] | np.ndarray
"""A folder, or image files."""
Values = Sequence[Any] | np.ndarray
"""One for each image."""


class _Notes(Silent):
    def __init__(self) -> None:
        self.notes = list[str]()

    def say(self, text: str) -> None:
        if text.startswith(NOTE):
            self.notes.append(text.removeprefix(NOTE))


@dataclass(eq=False, repr=False)
class PromptClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Few-shot image classification with a frozen CLIP.

    Attributes:
        classes_: the class names of a folder, or the different labels of a list.
        classifier_: the frozen ``Classifier``.
        notes_: notes, for example of a class with fewer images than ``shots``.
    """

    method: str = "dcp"
    """One of ``METHODS``."""
    backbone: str = "tiny"
    """As ``load_clip`` takes it."""
    shots: int | None = 16
    """Training images per class; None for all."""
    seed: int = 1
    """Seed of all random draws."""
    options: dict[str, Any] | None = None
    """Settings of the method."""
    training: dict[str, Any] | None = None
    """Settings of the training, see ``TrainConfig``."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``mps``."""
    dtype: str = "auto"
    """Dtype of the frozen towers."""
    skip_bad_images: bool = False
    """Leave out images that cannot be read."""

    def fit(self, X: Files, y: Values | None = None) -> "PromptClassifier":  # noqa: N803 scikit-learn's
        """Train on a folder of class folders, or on image files with labels.

        Args:
            X: a folder, a CSV file or the name of a data set; or image files.
            y: one label per file, which is its class name; left out for a folder.

        Raises:
            RequestError: the data cannot be used.
        """
        data, classes = _load(X) if y is None else _data_of(X, y)
        # a search through settings is made of numpy's numbers
        settings: dict[str, Any] = {
            name: int(value) if isinstance(value, np.integer) else value
            for name, value in self.get_params(deep=False).items()
        }
        settings |= {name: settings[name] or {} for name in ("options", "training")}
        reporter = _Notes()
        config = FitConfig(data=data.name, **settings)
        self.classifier_, _ = fit(config, data=data, reporter=reporter)
        self.classes_, self.notes_ = classes, reporter.notes
        return self

    def predict(self, X: Files) -> np.ndarray:  # noqa: N803
        """Class of every image of a list or folder."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def predict_proba(self, X: Files) -> np.ndarray:  # noqa: N803
        """Probabilities ``[images, classes]``, columns as in ``classes_``."""
        check_is_fitted(self)
        classifier: Classifier = self.classifier_
        predictions = classifier.predict(_files(X), top_k=len(self.classes_))
        rows = np.zeros((len(predictions), len(self.classes_)))
        for row, prediction in zip(rows, predictions, strict=True):
            if prediction.error is not None:
                raise RequestError(f"{prediction.path} cannot be classified: {prediction.error}")
            probabilities = dict(prediction.top)
            row[:] = [probabilities[name] for name in classifier.class_names]
        return rows / rows.sum(1, keepdims=True)  # exactly: it was computed in fp32

    def score(self, X: Files, y: Values | None = None, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy on a folder of class folders, or on files with labels.

        Args:
            X: a folder, a CSV file or the name of a data set, of which the test images are taken if
                it names them, all otherwise; or image files.
            y: one label per file; left out for a folder.
            sample_weight: of each image.

        Raises:
            RequestError: the data cannot be used, or has classes that were not trained on.
        """
        check_is_fitted(self)
        if y is None:
            known = self.classifier_.class_names
            data = choose_held_out(_path(X), {}).data
            test = relabel(data.test, data.class_names, known)
            X, y = [*test.paths], self.classes_[list(test.labels)]  # noqa: N806
        return float(super().score(X, y, sample_weight))


def _load(source: Files) -> tuple[Dataset, np.ndarray]:
    """A data set for training: its training images if it names them, all otherwise."""
    source = _path(source)
    try:
        data = load_dataset(source, val=0, test=0)
    except RequestError:  # it has its own splits, or a fault that is raised again here
        data = load_dataset(source)
    return replace(data, test=Split(), shifted={}), np.array(data.class_names)


def _data_of(files: Files, labels: Values) -> tuple[Dataset, np.ndarray]:
    if isinstance(files, (str, PathLike)):
        raise RequestError(
            f"found a single path and {len(labels)} labels, expected a list of files"
        )
    files, labels = _column(files, "files"), _column(labels, "labels")
    if len(files) != len(labels):
        raise RequestError(
            f"found {len(files)} files and {len(labels)} labels, expected as many files as labels"
        )
    for file, label in zip(files, labels, strict=True):
        if not isinstance(file, (str, PathLike)):
            raise RequestError(f"found a {type(file).__name__} to learn from, expected image files")
        if np.ndim(label):
            raise RequestError(f"the label of {file} is {label!r:.80}, expected a single value")
        if _is_missing(label):  # before numpy makes a text of it, among texts
            raise RequestError(f"the label of {file} is missing; give one, or leave the file out")
    classes, numbers = np.unique(np.asarray(labels), return_inverse=True)
    names = tuple(readable(str(label)) for label in classes)
    return Dataset("files", names, Split.of(files, numbers.tolist())), classes


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas' NA says neither yes nor no
        return True


def _column(values: Any, what: str) -> list[Any]:
    """One value for each image, also of a table or an array with a single column."""
    array = values if isinstance(values, np.ndarray) else getattr(values, "values", None)
    if not isinstance(array, np.ndarray) or array.ndim == 1:
        return list(values)
    if array.ndim == 2 and array.shape[1] == 1:
        return list(array[:, 0])
    raise RequestError(f"found {what} in the shape {array.shape}, expected one for each image")


def _path(source: Files) -> str | PathLike[str]:
    if not isinstance(source, (str, PathLike)):
        raise RequestError("labels are missing: expected y with one label for each file")
    return source


def _files(source: Files) -> Sequence[str | PathLike[str]]:
    if not isinstance(source, (str, PathLike)):
        return _column(source, "files")
    if not Path(source).is_dir():
        raise RequestError(f"{source} is no folder; give a folder of images, or a list of files")
    return list_images(source)
