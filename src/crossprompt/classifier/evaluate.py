"""Evaluation on labelled images, also with cached image features for many classifiers."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from crossprompt.classifier.classifier import BATCH, Classifier
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item, Split, check_items
from crossprompt.methods.features import Features, encode_split, read_batches
from crossprompt.methods.heads.base import ScoresFeatures
from crossprompt.utils.config import require

BINS = 15
BOOTSTRAP_RESAMPLES = 1000
CACHED_SPLITS = 16


@dataclass(frozen=True)
class Result:
    """Metrics of a classifier on a set of images. Shares are 0 to 1."""

    accuracy: float
    """Share of images whose most probable class is right."""
    interval: tuple[float, float]
    """95 % bootstrap interval of the accuracy, over the images."""
    macro_f1: float
    """Mean of F1 over the classes that have images."""
    per_class: dict[str, float]
    """Share of each class's images that are right, for the classes that have images."""
    ece: float
    """Expected calibration error: mean gap between confidence and accuracy over 15 bins."""
    confusion: list[list[int]]
    """Row true class, column predicted class: number of images."""
    n: int
    """Number of images."""
    inference: str
    """Inference mode; with another than ``calibrated``, batch size and order matter."""
    batch_size: int

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def evaluate(
    classifier: Classifier,
    items: Sequence[Item],
    *,
    batch_size: int = BATCH,
    progress: Callable[[int, int], None] | None = None,
    cache_features: bool = False,
) -> Result:
    """Classify every image and compare with its label.

    Args:
        classifier: to be measured.
        items: labelled images, at least one.
        batch_size: images at a time.
        progress: called with (images done, images in all).
        cache_features: encode the images only once in this process for all classifiers that use
            unmodified CLIP features; for files that do not change meanwhile.

    Raises:
        RequestError: these are no labelled images, there is none, one cannot be read, a label has
            no class, or ``batch_size`` is less than 1.
    """
    check_items(items, "evaluate on")
    require(batch_size >= 1, f"batch_size is {batch_size}, expected 1 or more")
    require(len(items) > 0, "there are no images to evaluate on; the split is empty")
    labels, classes = [item.label for item in items], len(classifier.class_names)
    require(
        min(labels) >= 0 and max(labels) < classes,
        f"found labels from {min(labels)} to {max(labels)}, expected 0 to {classes - 1}: the "
        f"classifier has {classes} classes; give the images of those",
    )
    frozen = classifier.frozen
    if cache_features and isinstance(frozen, ScoresFeatures) and frozen.plain:
        features = encode_once(classifier.clip, Split(tuple(items))).features
        logits = [frozen.score(features)]
    else:
        logits, transform = [], classifier.clip.preprocess
        paths = [item.path for item in items]
        for batch in read_batches(paths, transform, batch_size, enough=transform.enough):
            logits.append(classifier.logits(batch.images))
            if progress is not None:
                progress(min(len(logits) * batch_size, len(items)), len(items))
    probabilities = np.concatenate([part.softmax(-1).cpu().numpy() for part in logits])
    inference = classifier.information.get("inference", "calibrated")
    return summarize(probabilities, np.array(labels), classifier.class_names, inference, batch_size)


@lru_cache(maxsize=CACHED_SPLITS)
def encode_once(clip: CLIP, split: Split) -> Features:
    """Image features of a split with the test transform, kept by the names of the files."""
    return encode_split(clip, split)


def summarize(
    probabilities: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    inference: str = "calibrated",
    batch_size: int = BATCH,
) -> Result:
    """Compare probabilities with labels.

    Args:
        probabilities: ``[images, classes]``.
        labels: ``[images]``, indices of classes.
        class_names: one per column of ``probabilities``.
        inference: inference mode, kept with the result.
        batch_size: images at a time, likewise.
    """
    # deferred, for it takes a second that training and prediction can spare
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted, every = probabilities.argmax(1), range(len(class_names))
    present = [label for label in every if (labels == label).any()]
    _, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=present, zero_division=0
    )
    right = predicted == labels
    return Result(
        accuracy=float(right.mean()),
        interval=bootstrap_interval(right),
        macro_f1=float(f1.mean()),
        per_class={class_names[k]: float(r) for k, r in zip(present, recall, strict=True)},
        ece=calibration_error(probabilities.max(1), right),
        confusion=confusion_matrix(labels, predicted, labels=every).tolist(),
        n=len(labels),
        inference=inference,
        batch_size=batch_size,
    )


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al., ICML 2017).

    Both arguments are ``[images]``: the probability of the predicted class, and if it is true.
    """
    confidence = confidence.astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = [
        (bins == k).mean() * abs(right[bins == k].mean() - confidence[bins == k].mean())
        for k in np.unique(bins)
    ]
    return float(sum(gaps))


def bootstrap_interval(right: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """2.5 and 97.5 percentile of the accuracy over 1,000 resamples of the images.

    ``right`` is ``[images]``: if the predicted class is the true one.
    """
    generator = np.random.default_rng(seed)
    # the number of right answers in a resample is binomial: no need to draw the images one by one
    means = generator.binomial(len(right), right.mean(), BOOTSTRAP_RESAMPLES) / len(right)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
