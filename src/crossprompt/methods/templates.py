"""Hand-written class texts: templates for all classes, or sentences about each from a file."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta, ValidationError, convert
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.clip.text_engine import TokenizedTexts
from crossprompt.errors import RequestError
from crossprompt.utils.config import require
from crossprompt.utils.files import read_json
from crossprompt.utils.shapes import ClassFeatures
from crossprompt.utils.text import nearest

_TEXT = """
a bad photo of a {}. | a photo of many {}. | a sculpture of a {}. | a photo of the hard to see {}. |
a low resolution photo of the {}. | a rendering of a {}. | graffiti of a {}. |
a bad photo of the {}. | a cropped photo of the {}. | a tattoo of a {}. | the embroidered {}. |
a photo of a hard to see {}. | a bright photo of a {}. | a photo of a clean {}. |
a photo of a dirty {}. | a dark photo of the {}. | a drawing of a {}. | a photo of my {}. |
the plastic {}. | a photo of the cool {}. | a close-up photo of a {}. |
a black and white photo of the {}. | a painting of the {}. | a painting of a {}. |
a pixelated photo of the {}. | a sculpture of the {}. | a bright photo of the {}. |
a cropped photo of a {}. | a plastic {}. | a photo of the dirty {}. |
a jpeg corrupted photo of a {}. | a blurry photo of the {}. | a photo of the {}. |
a good photo of the {}. | a rendering of the {}. | a {} in a video game. | a photo of one {}. |
a doodle of a {}. | a close-up photo of the {}. | a photo of a {}. | the origami {}. |
the {} in a video game. | a sketch of a {}. | a doodle of the {}. | a origami {}. |
a low resolution photo of a {}. | the toy {}. | a rendition of the {}. | a photo of the clean {}. |
a photo of a large {}. | a rendition of a {}. | a photo of a nice {}. | a photo of a weird {}. |
a blurry photo of a {}. | a cartoon {}. | art of a {}. | a sketch of the {}. | a embroidered {}. |
a pixelated photo of a {}. | itap of the {}. | a jpeg corrupted photo of the {}. |
a good photo of a {}. | a plushie {}. | a photo of the nice {}. | a photo of the small {}. |
a photo of the weird {}. | the cartoon {}. | art of the {}. | a drawing of the {}. |
a photo of the large {}. | a black and white photo of a {}. | the plushie {}. |
a dark photo of a {}. | itap of a {}. | graffiti of the {}. | a toy {}. | itap of my {}. |
a photo of a cool {}. | a photo of a small {}. | a tattoo of the {}.
"""

IMAGENET_TEMPLATES = tuple(template.strip() for template in _TEXT.split("|"))
"""CLIP's eighty templates for ImageNet."""

PHOTO = ("a photo of a {}.",)
"""The template where the data set has no other."""
ENSEMBLES = {"imagenet": IMAGENET_TEMPLATES, "imagenet-60": IMAGENET_TEMPLATES[:60]}
"""Names of many templates."""
AT_ONCE = 256
"""Texts per forward pass, or as many as there are classes: more takes memory, not time."""
LARGEST = 2**28
"""Bytes of a file of descriptions: a thousand classes with 50 sentences each take 5 MB."""
Sentences = Annotated[list[Annotated[str, Meta(pattern=r"\S")]], Meta(min_length=1)]


def check_templates(templates: Sequence[str], owner: str, setting: str = "template") -> None:
    """Raise ``RequestError`` unless each has one place for the class name, or names an ensemble."""
    require(len(templates) > 0, f"{owner}: {setting} is empty, expected at least one")
    for template in templates:
        require(
            template.count("{}") == 1 or template in ENSEMBLES,
            f"{owner}: {setting} is {template!r}, expected one {{}} in place of the class name, "
            f"or {' or '.join(ENSEMBLES)}",
        )


def spell_out(templates: Sequence[str]) -> list[str]:
    """The templates, with those of an ensemble in place of its name."""
    return [text for template in templates for text in ENSEMBLES.get(template, (template,))]


class TextFeatureCache(ABC):
    """One feature per class from hand-written texts, encoded on request or once by ``keep``."""

    _kept: ClassFeatures | None = None

    def keep(self, clip: CLIP) -> None:
        """Encode now, once for all training steps; the features are no part of a checkpoint."""
        self._kept = self._encode(clip)

    def features(self, clip: CLIP) -> ClassFeatures:
        """``[classes, embed]`` in fp32, not normalized."""
        return self._encode(clip) if self._kept is None else self._kept

    @abstractmethod
    def _encode(self, clip: CLIP) -> ClassFeatures: ...


class ClassTexts(TextFeatureCache):
    """Class features from one template or the mean of several.

    Of several templates, the direction is the mean of their normalized features, the length the
    mean of their lengths.

    Args:
        clip: for its tokenizer.
        class_names: in the order of the labels.
        templates: sentences with {} in place of the class name, or names of ``ENSEMBLES``.
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

    @torch.no_grad()
    def _encode(self, clip: CLIP) -> ClassFeatures:
        parts = [clip.encode_texts(texts)[0].float() for texts in self._texts]
        features = torch.cat(parts).unflatten(0, (-1, self._classes))
        lengths = features.norm(dim=-1, keepdim=True)
        return normalize((features / lengths).sum(0), dim=-1) * lengths.mean(0)


class Descriptions(TextFeatureCache):
    """Class features from sentences about each class: the mean of their normalized features.

    A saved classifier needs no texts, so a missing file is an error only when they are encoded.

    Args:
        clip: for its tokenizer.
        class_names: in the order of the labels.
        path: a JSON file with an object: class name to sentences.

    Raises:
        RequestError: the file holds something else, or no sentence about a class.
    """

    def __init__(self, clip: CLIP, class_names: Sequence[str], path: Path) -> None:
        self._path = path
        self._texts: list[TokenizedTexts] | None = None
        if path.is_file():  # anything else, such as a device, may have no end
            sentences = read_descriptions(path, class_names)
            self._texts = [
                clip.tokenizer.tokenize_texts(own, [f"{name}: {text}" for text in own])
                for name, own in zip(class_names, sentences, strict=True)
            ]

    @torch.no_grad()
    def _encode(self, clip: CLIP) -> ClassFeatures:
        if self._texts is None:
            raise RequestError(f"{self._path} is not there; give a file with --descriptions")
        # one class at a time: there may be 50 sentences for each of 1000
        features = [clip.encode_texts(texts)[0].float() for texts in self._texts]
        means = [normalize(own, dim=-1).mean(0) for own in features]
        return normalize(torch.stack(means), dim=-1)


def read_descriptions(path: Path, class_names: Sequence[str]) -> list[list[str]]:
    """The sentences about every class, in the order of the names; other classes are ignored.

    Raises:
        RequestError: it is no such file, or a class has no sentence in it.
    """
    expected = 'expected {"class name": ["a sentence", …], …}'
    found = read_json(path, dict, expected, LARGEST)
    described = []
    for name in class_names:
        if name not in found:
            near = nearest(name, found)
            hint = f"; it describes {near!r}" if near else ""
            raise RequestError(f"{path} does not describe the class {name!r}{hint}")
        try:
            described.append(convert(found[name], Sentences))
        except ValidationError as error:
            raise RequestError(f"{path}: {name!r} ({error}); {expected}") from None
    return described
