"""Frozen CLIP-Adapter: a bottleneck rewrites the image feature."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, relu

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import FeatureHead, check_tensors, length_of
from crossprompt.utils.config import require
from crossprompt.utils.shapes import ImageFeatures, Logits, Scalar
from crossprompt.utils.tensor_file import Headers

Down = Float[Tensor, "hidden embed"]
Up = Float[Tensor, "embed hidden"]


class Adapter(FeatureHead):
    """Cosine of class texts and image features that a bottleneck has partly rewritten.

    Args:
        class_weights: ``[classes, embed]``, of length 1.
        scale: factor of the cosines.
        down: ``[hidden, embed]``.
        up: ``[embed, hidden]``.
        ratio: part of the feature that is rewritten, 0 to 1.
    """

    form = "adapter"
    class_weights: Tensor
    scale: Tensor
    down: Tensor
    up: Tensor
    ratio: Tensor

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, not normalized."""
        adapted = adapt(features.float(), self.down, self.up, self.ratio)
        return self.scale * normalize(adapted, dim=-1) @ self.class_weights.T

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        hidden, embed = length_of(found, "down"), clip.config.embed
        shapes = {"class_weights": (classes, embed), "scale": (), "ratio": ()}
        check_tensors(found, {**shapes, "down": (hidden, embed), "up": (embed, hidden)})


def adapt(features: ImageFeatures, down: Down, up: Up, ratio: Scalar | float) -> ImageFeatures:
    """Blend each feature with the bottleneck's output: ``[batch, embed]``."""
    rewritten = relu(relu(features @ down.T) @ up.T)
    return ratio * rewritten + (1 - ratio) * features


def reduced_width(owner: str, embed: int, reduction: int) -> int:
    """Width of a bottleneck; ``RequestError`` naming ``owner`` if nothing would be left."""
    require(
        embed >= reduction,
        f"{owner}: reduction is {reduction} but this backbone's features have width {embed}, so "
        "nothing would be left; choose a smaller one",
    )
    return embed // reduction
