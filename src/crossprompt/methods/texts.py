"""The class names in hand-written templates: what zero-shot CLIP compares images with."""

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.settings import require
from crossprompt.shapes import ClassFeatures

PHOTO = ("a photo of a {}.",)
"""The template where the data set has no other."""


def check_templates(templates: Sequence[str], owner: str) -> None:
    """Raise ``RequestError`` that names ``owner`` unless each has one place for the class name."""
    require(len(templates) > 0, f"{owner}: template is empty, expected at least one")
    for template in templates:
        require(
            template.count("{}") == 1,
            f"{owner}: template is {template!r}, expected one {{}} in place of the class name",
        )


class ClassTexts:
    """One feature per class, from one template or the mean of several.

    Args:
        clip: for its tokenizer.
        class_names: in the order of the labels.
        templates: sentences with {} in place of the class name.
    """

    def __init__(self, clip: CLIP, class_names: Sequence[str], templates: Sequence[str]) -> None:
        self._texts = [
            clip.tokenizer.tokenize_texts([t.replace("{}", n) for n in class_names], class_names)
            for t in templates
        ]
        self._kept: ClassFeatures | None = None

    def keep(self, clip: CLIP) -> ClassFeatures:
        """Encode now, once for all steps of a training; what is kept is no part of a checkpoint."""
        self._kept = self._encode(clip)
        return self._kept

    def features(self, clip: CLIP) -> ClassFeatures:
        """Those kept, if there are any: ``[classes, embed]`` in fp32, not normalised.

        Of several templates, the direction is the mean of their normalised features, the length
        the mean of their lengths.
        """
        return self._encode(clip) if self._kept is None else self._kept

    @torch.no_grad()
    def _encode(self, clip: CLIP) -> ClassFeatures:
        features = torch.stack([clip.encode_texts(texts)[0].float() for texts in self._texts])
        lengths = features.norm(dim=-1, keepdim=True)
        return normalize((features / lengths).sum(0), dim=-1) * lengths.mean(0)
