"""The interface of frozen forms, and the check of a saved one."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.utils.shapes import ImageFeatures, Images, Logits
from crossprompt.utils.tensor_file import Headers


class Frozen(nn.Module, ABC):
    """Scores images with the frozen backbone and constants, which its ``state_dict`` holds."""

    form: ClassVar[str]
    """Name in a saved classifier."""

    def __init__(self, **constants: Tensor) -> None:
        super().__init__()
        self.hold(**constants)

    def hold(self, **constants: Tensor) -> None:
        """Register detached fp32 copies as buffers."""
        for name, tensor in constants.items():
            self.register_buffer(name, tensor.detach().float().clone())

    @abstractmethod
    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score ``[batch, 3, side, side]`` images: ``[batch, classes]`` in fp32."""

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        """Raise ``ValueError`` naming a key, type or shape of a saved state that is wrong.

        Args:
            found: the state, or the header of its file.
            clip: the backbone that it has to fit.
            classes: their number.
        """
        raise ValueError(f"a classifier of the form {cls.form!r} is for study and is not saved")

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], clip: CLIP, classes: int) -> "Frozen":
        """Check a saved state and rebuild the form from it."""
        cls.check_state(state, clip, classes)
        return cls.rebuild(state, clip)

    @classmethod
    def rebuild(cls, state: Mapping[str, Tensor], clip: CLIP) -> "Frozen":
        """Rebuild the form from a checked state."""
        return cls(**state)


class FeatureHead(Frozen):
    """A frozen form on unmodified CLIP image features."""

    plain = True
    """True if the features are unmodified, so that all classifiers can share them."""

    @abstractmethod
    def score(self, features: ImageFeatures) -> Logits:
        """Score image features ``[batch, embed]``, not normalized: ``[batch, classes]``."""

    def forward(self, clip: CLIP, images: Images) -> Logits:
        return self.score(clip.encode_images(images))


def length_of(state: Headers, key: str) -> int:
    """Number of rows of a saved tensor; 0 if there is none."""
    return state[key].shape[0] if key in state and state[key].ndim else 0


def check_tensors(
    found: Headers,
    expected: Mapping[str, tuple[int, ...]],
    whole: Collection[str] = (),
) -> None:
    """Raise ``ValueError`` naming keys that are missing, unexpected, or of wrong shape or type.

    Args:
        found: the tensors, or the header of their file.
        expected: shape of every key.
        whole: the keys of int64 tensors; all others are fp32.
    """
    missing, unexpected = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unexpected:
        lists = (("missing", missing), ("unexpected", unexpected))
        raise ValueError(", ".join(f"{what} {_shortened(keys)}" for what, keys in lists if keys))
    for key, shape in expected.items():
        tensor, dtype = found[key], torch.int64 if key in whole else torch.float32
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise ValueError(
                f"{key} is {tensor.dtype} of shape {tuple(tensor.shape)}, expected {dtype} "
                f"of shape {shape}"
            )


def _shortened(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more


@runtime_checkable
class ScoresFeatures(Protocol):
    """A frozen form that may work on unmodified CLIP image features."""

    @property
    def plain(self) -> bool:
        """True if it works on unmodified features."""

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, which need not be normalized."""
