"""What every frozen form is, and how a saved one is checked."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.utils.shapes import ImageFeatures, Images, Logits
from crossprompt.utils.tensor_file import Headers


class Frozen(nn.Module, ABC):
    """Scores images with the frozen image tower and constants, which its ``state_dict`` holds."""

    form: ClassVar[str]
    """What a saved classifier calls it."""

    @abstractmethod
    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score ``[batch, 3, side, side]`` images: ``[batch, classes]`` in fp32."""

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        """``ValueError`` names a key, type or shape of a saved state that is wrong.

        Args:
            found: the state, or what a file says of it.
            clip: the backbone that it has to fit.
            classes: their number.
        """
        raise ValueError(f"a classifier of the form {cls.form!r} is for study and is not saved")

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], clip: CLIP, classes: int) -> "Frozen":
        """Rebuild from a saved state, which is checked."""
        cls.check_state(state, clip, classes)
        return cls._rebuild(state, clip)

    @classmethod
    def _rebuild(cls, state: Mapping[str, Tensor], clip: CLIP) -> "Frozen":
        return cls(**state)


class FeatureHead(Frozen):
    """A frozen form that takes CLIP's own image features."""

    plain = True
    """Whether it takes them as they are, so that they can be computed once for all."""

    @abstractmethod
    def score(self, features: ImageFeatures) -> Logits:
        """Score image features ``[batch, embed]``, not normalized: ``[batch, classes]``."""

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images by their features."""
        return self.score(clip.encode_images(images))


def constant(x: Tensor) -> Tensor:
    """A copy in fp32 that no training reaches."""
    return x.detach().float().clone()


def length_of(state: Headers, key: str) -> int:
    """How many rows a tensor of a saved state has; 0 where there is no such tensor."""
    return state[key].shape[0] if key in state and state[key].ndim else 0


def check_tensors(
    found: Headers,
    expected: Mapping[str, tuple[int, ...]],
    whole: Collection[str] = (),
) -> None:
    """Compare tensors with the shapes they must have; ``ValueError`` names what is wrong.

    Args:
        found: by key, or what a file says of them.
        expected: shape of every key.
        whole: the keys that hold whole numbers, as int64; all others are fp32.
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
    """A frozen form that may do with CLIP's own image features."""

    @property
    def plain(self) -> bool:
        """Whether it does."""

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, which need not be normalized."""
