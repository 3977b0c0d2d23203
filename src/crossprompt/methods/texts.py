"""The class names in hand-written templates: what zero-shot CLIP compares images with."""

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.imagenet_templates import IMAGENET_TEMPLATES
from crossprompt.settings import require
from crossprompt.shapes import ClassFeatures

PHOTO = ("a photo of a {}.",)
"""The template where the data set has no other."""
ENSEMBLES = {"imagenet": IMAGENET_TEMPLATES, "imagenet-60": IMAGENET_TEMPLATES[:60]}
"""Words that stand for many templates."""
AT_ONCE = 256
"""Texts that are encoded at once, or as many as there are classes: more takes memory, not time."""


def check_templates(templates: Sequence[str], owner: str, setting: str = "template") -> None:
    """Raise ``RequestError`` unless each has one place for the class name, or stands for many.

    Args:
        templates: as the user has them.
        owner: whose setting it is.
        setting: its name.
    """
    require(len(templates) > 0, f"{owner}: {setting} is empty, expected at least one")
    for template in templates:
        require(
            template.count("{}") == 1 or template in ENSEMBLES,
            f"{owner}: {setting} is {template!r}, expected one {{}} in place of the class name, "
            f"or {' or '.join(ENSEMBLES)}",
        )


def spell_out(templates: Sequence[str]) -> list[str]:
    """Sentences, where a word stands for many."""
    return [text for template in templates for text in ENSEMBLES.get(template, (template,))]


class ClassTexts:
    """One feature per class, from one template or the mean of several.

    Args:
        clip: for its tokenizer.
        class_names: in the order of the labels.
        templates: sentences with {} in place of the class name, or words of ``ENSEMBLES``.
    """

    def __init__(self, clip: CLIP, class_names: Sequence[str], templates: Sequence[str]) -> None:
        names, spelled = list(class_names), spell_out(templates)
        step = max(1, AT_ONCE // len(names))
        parts = [spelled[start : start + step] for start in range(0, len(spelled), step)]
        self._texts = [
            clip.tokenizer.tokenize_texts(
                [template.replace("{}", name) for template in part for name in names],
                names * len(part),
            )
            for part in parts
        ]
        self._classes = len(names)
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
        parts = [clip.encode_texts(texts)[0].float() for texts in self._texts]
        features = torch.cat(parts).unflatten(0, (-1, self._classes))
        lengths = features.norm(dim=-1, keepdim=True)
        return normalize((features / lengths).sum(0), dim=-1) * lengths.mean(0)
