"""The form of CLIP-Adapter: the image feature is rewritten before it meets the class texts."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, relu

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import FeatureHead, check_tensors, constant, length_of
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Logits, Scalar
from crossprompt.utils.tensor_file import Headers

Down = Float[Tensor, "hidden embed"]
"""From the feature to the bottleneck."""
Up = Float[Tensor, "embed hidden"]
"""And back."""


class Adapter(FeatureHead):
    """Cosine of class texts and image features that a bottleneck has rewritten in part.

    Args:
        class_weights: ``[classes, embed]``, of length 1.
        scale: factor of the cosines.
        down: ``[hidden, embed]``.
        up: ``[embed, hidden]``.
        ratio: the part of the feature that is new, 0 to 1.
    """

    form = "adapter"
    class_weights: Tensor
    scale: Tensor
    down: Tensor
    up: Tensor
    ratio: Tensor

    def __init__(
        self, class_weights: ClassFeatures, scale: Scalar, down: Down, up: Up, ratio: Scalar
    ) -> None:
        super().__init__()
        self.register_buffer("class_weights", constant(class_weights))
        self.register_buffer("scale", constant(scale))
        self.register_buffer("down", constant(down))
        self.register_buffer("up", constant(up))
        self.register_buffer("ratio", constant(ratio))

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, which are not normalized."""
        adapted = adapt(features.float(), self.down, self.up, self.ratio)
        return self.scale * normalize(adapted, dim=-1) @ self.class_weights.T

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        """Compare with what the backbone and the classes ask for."""
        hidden, embed = length_of(found, "down"), clip.config.embed
        shapes = {"class_weights": (classes, embed), "scale": (), "ratio": ()}
        check_tensors(found, {**shapes, "down": (hidden, embed), "up": (embed, hidden)})


def adapt(features: ImageFeatures, down: Down, up: Up, ratio: Scalar | float) -> ImageFeatures:
    """A part of each feature replaced by what the bottleneck makes of it: ``[batch, embed]``."""
    rewritten = relu(relu(features @ down.T) @ up.T)
    return ratio * rewritten + (1 - ratio) * features
