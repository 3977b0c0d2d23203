"""Evaluation of many classifiers on the same images, which are encoded once where that is all."""

from functools import lru_cache
from typing import Protocol, runtime_checkable

from crossprompt.classifier import BATCH, Classifier
from crossprompt.clip.model import CLIP
from crossprompt.data.split import Split
from crossprompt.evaluate import Result, evaluate, labels_of, summarise
from crossprompt.examples import Features, encode_split
from crossprompt.shapes import ImageFeatures, Logits

SPLITS = 16
"""Whose features a process keeps."""


@runtime_checkable
class ScoresFeatures(Protocol):
    """A frozen form that may do with CLIP's own image features."""

    @property
    def plain(self) -> bool:
        """Whether it does."""

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, which need not be normalised."""


def evaluate_encoded(classifier: Classifier, split: Split, batch_size: int = BATCH) -> Result:
    """``evaluate``, for which a process encodes the images of a split only once.

    The features are kept by the files' names: for files that do not change while the process runs.

    Args:
        classifier: what to measure; any, also one whose images pass the tower with prompts.
        split: labelled images, at least one.
        batch_size: images at a time, where they are not encoded already.

    Raises:
        RequestError: see ``evaluate``.
    """
    frozen = classifier.frozen
    rule = classifier.information.get("inference", "calibrated")
    if not (isinstance(frozen, ScoresFeatures) and frozen.plain):
        return evaluate(classifier, split, batch_size=batch_size)
    labels = labels_of(split, classifier.class_names)
    logits = frozen.score(encode_once(classifier.clip, split).features)
    probabilities = logits.softmax(-1).cpu().numpy()
    return summarise(probabilities, labels, classifier.class_names, rule, batch_size)


@lru_cache(maxsize=SPLITS)
def encode_once(clip: CLIP, split: Split) -> Features:
    """The image features of a split, with the test transform."""
    return encode_split(clip, split)
