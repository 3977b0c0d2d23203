"""Sentences that describe each class, from a file, in place of a template for all."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.clip.tokenized_texts import TokenizedTexts
from crossprompt.errors import RequestError
from crossprompt.shapes import ClassFeatures
from crossprompt.wording import nearest

LARGEST = 2**28
"""Bytes of a file: a thousand classes with 50 sentences each take 5 MB."""


class Descriptions:
    """One feature per class, from sentences about it; stands in for ``ClassTexts``.

    A saved classifier needs no texts, so that a file that is gone matters only when they are
    encoded.

    Args:
        clip: for its tokenizer.
        class_names: in the order of the labels.
        path: a JSON file with an object: class name to sentences.

    Raises:
        RequestError: the file holds something else, or nothing of a class.
    """

    def __init__(self, clip: CLIP, class_names: Sequence[str], path: Path) -> None:
        self._path = path
        self._texts: list[TokenizedTexts] | None = None
        if path.is_file():  # of anything else, such as a device, there may be no end
            sentences = read_descriptions(path, class_names)
            self._texts = [
                clip.tokenizer.tokenize_texts(own, [f"{name}: {text}" for text in own])
                for name, own in zip(class_names, sentences, strict=True)
            ]
        self._kept: ClassFeatures | None = None

    def keep(self, clip: CLIP) -> ClassFeatures:
        """Encode now, once for all steps of a training; what is kept is no part of a checkpoint."""
        self._kept = self._encode(clip)
        return self._kept

    def features(self, clip: CLIP) -> ClassFeatures:
        """Those kept, if there are any: ``[classes, embed]`` in fp32, of length 1.

        Each is the mean of the sentences' normalised features, normalised again.
        """
        return self._encode(clip) if self._kept is None else self._kept

    @torch.no_grad()
    def _encode(self, clip: CLIP) -> ClassFeatures:
        if self._texts is None:
            raise RequestError(f"{self._path} is not there; give a file with --descriptions")
        # one class at a time: there may be 50 sentences for each of 1000
        features = [clip.encode_texts(texts)[0].float() for texts in self._texts]
        means = [normalize(own, dim=-1).mean(0) for own in features]
        return normalize(torch.stack(means), dim=-1)


def read_descriptions(path: Path, class_names: Sequence[str]) -> list[list[str]]:
    """The sentences about every class, in the order of the names.

    Args:
        path: of a JSON file.
        class_names: whose sentences are wanted; others in the file are not looked at.

    Raises:
        RequestError: it is no such file, or a class has no sentence in it.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise RequestError(f"{path} has {size} bytes, expected {LARGEST} at most")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} cannot be read as JSON: {error}") from error
    expected = 'expected {"class name": ["a sentence", …], …}'
    if not isinstance(found, dict):
        raise RequestError(f"{path} holds a {type(found).__name__}, {expected}")
    for name in class_names:
        if name not in found:
            near = nearest(name, found)
            hint = f"; it describes {near!r}" if near else ""
            raise RequestError(f"{path} does not describe the class {name!r}{hint}")
        own = found[name]
        fine = isinstance(own, list) and own and all(isinstance(x, str) and x.strip() for x in own)
        if not fine:
            raise RequestError(f"{path}: {name!r} has {own!r:.60}, {expected}")
    return [found[name] for name in class_names]
