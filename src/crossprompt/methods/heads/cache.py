"""Frozen Tip-Adapter: the training images' features vote beside the class texts."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import FeatureHead, check_tensors, length_of
from crossprompt.utils.shapes import ImageFeatures, Logits, Scalar
from crossprompt.utils.tensor_file import Headers

Keys = Float[Tensor, "keys embed"]
Values = Float[Tensor, "keys classes"]


class Cache(FeatureHead):
    """Cosine with the class texts, plus the values of near keys.

    Args:
        class_weights: ``[classes, embed]``, of length 1.
        scale: factor of the cosines.
        keys: ``[keys, embed]``.
        values: ``[keys, classes]``.
        alpha: weight of the cache.
        beta: decay of a key's weight with distance.
    """

    form = "cache"
    class_weights: Tensor
    scale: Tensor
    keys: Tensor
    values: Tensor
    alpha: Tensor
    beta: Tensor

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, normalized or not."""
        features = normalize(features.float(), dim=-1)
        texts = self.scale * features @ self.class_weights.T
        return texts + self.alpha * ask(features, self.keys, self.values, self.beta)

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        keys, embed = length_of(found, "keys"), clip.config.embed
        shapes = {"class_weights": (classes, embed), "scale": (), "alpha": (), "beta": ()}
        check_tensors(found, {**shapes, "keys": (keys, embed), "values": (keys, classes)})


def ask(features: ImageFeatures, keys: Keys, values: Values, beta: Scalar) -> Logits:
    """The sum of all values, weighted by the keys' proximity: exp(-beta (1 - f k)).

    Args:
        features: ``[batch, embed]``, of length 1.
        keys: ``[keys, embed]``.
        values: ``[keys, classes]``.
        beta: decay of a key's weight with distance.
    """
    return (-beta * (1 - features @ keys.T)).exp() @ values
