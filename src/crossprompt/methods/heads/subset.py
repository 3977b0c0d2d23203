"""A classifier that is asked to tell apart only some of its classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from crossprompt.classifier.classifier import Classifier
from crossprompt.classifier.evaluate import ScoresFeatures
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods.heads import Frozen
from crossprompt.utils.shapes import ImageFeatures, Images, Logits


class SomeClasses(Frozen):
    """Another frozen form's scores of some classes.

    Args:
        frozen: scores all classes.
        columns: which of them to keep, in the new order.
    """

    form = "some-classes"
    columns: Tensor

    def __init__(self, frozen: Frozen, columns: Sequence[int]) -> None:
        super().__init__()
        self.frozen = frozen
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    @property
    def plain(self) -> bool:
        """Whether the other form scores CLIP's own image features."""
        return isinstance(self.frozen, ScoresFeatures) and self.frozen.plain

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images."""
        return self.frozen(clip, images)[:, self.columns]

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, where the other form does."""
        assert isinstance(self.frozen, ScoresFeatures)
        return self.frozen.score(features)[:, self.columns]


def restrict(classifier: Classifier, class_names: Sequence[str]) -> Classifier:
    """A classifier that tells apart only the classes ``class_names``, in that order.

    Raises:
        RequestError: it does not know one of them.
    """
    numbers = {name: number for number, name in enumerate(classifier.class_names)}
    if unknown := [name for name in class_names if name not in numbers]:
        raise RequestError(
            f"the classifier does not know the class {unknown[0]!r}"
            f"{f' and {len(unknown) - 1} more' if unknown[1:] else ''}; it can be restricted only "
            "to classes that it was trained on"
        )
    columns = [numbers[name] for name in class_names]
    frozen = SomeClasses(classifier.frozen, columns)
    return Classifier(
        classifier.clip, frozen, class_names, classifier.method, classifier.information
    )
