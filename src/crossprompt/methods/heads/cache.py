"""The form of Tip-Adapter: the training images' features are asked, beside the class texts."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import FeatureHead, check_tensors, constant, length_of
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Logits, Scalar
from crossprompt.utils.tensor_file import Headers

Keys = Float[Tensor, "keys embed"]
"""Features that are asked for."""
Values = Float[Tensor, "keys classes"]
"""What each of them says."""


class Cache(FeatureHead):
    """Cosine with the class texts, and what the keys that are near say.

    Args:
        class_weights: ``[classes, embed]``, of length 1.
        scale: factor of the cosines.
        keys: ``[keys, embed]``.
        values: ``[keys, classes]``.
        alpha: weight of what the keys say.
        beta: how fast a key falls silent with distance.
    """

    form = "cache"
    class_weights: Tensor
    scale: Tensor
    keys: Tensor
    values: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(
        self,
        class_weights: ClassFeatures,
        scale: Scalar,
        keys: Keys,
        values: Values,
        alpha: Scalar,
        beta: Scalar,
    ) -> None:
        super().__init__()
        self.register_buffer("class_weights", constant(class_weights))
        self.register_buffer("scale", constant(scale))
        self.register_buffer("keys", constant(keys))
        self.register_buffer("values", constant(values))
        self.register_buffer("alpha", constant(alpha))
        self.register_buffer("beta", constant(beta))

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, which need not be normalized."""
        features = normalize(features.float(), dim=-1)
        texts = self.scale * features @ self.class_weights.T
        return texts + self.alpha * ask(features, self.keys, self.values, self.beta)

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        """Compare with what the backbone and the classes ask for."""
        keys, embed = length_of(found, "keys"), clip.config.embed
        shapes = {"class_weights": (classes, embed), "scale": (), "alpha": (), "beta": ()}
        check_tensors(found, {**shapes, "keys": (keys, embed), "values": (keys, classes)})


def ask(features: ImageFeatures, keys: Keys, values: Values, beta: Scalar) -> Logits:
    """The values of all keys, each weighted by how near it is: exp(-beta (1 - f k)).

    Args:
        features: ``[batch, embed]``, of length 1.
        keys: ``[keys, embed]``.
        values: ``[keys, classes]``.
        beta: how fast a key falls silent with distance.
    """
    return (-beta * (1 - features @ keys.T)).exp() @ values
