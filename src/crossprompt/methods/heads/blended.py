"""Frozen HiCroPL: every image is encoded twice, with the prompts and without."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import Frozen
from crossprompt.methods.heads.static_prompts import StaticPrompts
from crossprompt.utils.shapes import Images, Logits, Rows
from crossprompt.utils.tensor_file import Headers

PREFIX = "prompted."
"""Prefix of the keys of a saved state."""


class Blended(Frozen):
    """Cosine of class weights and the sum of two image features, prompted and unprompted.

    Args:
        prompted: the image prompts and the class weights.
    """

    form = "blended"

    def __init__(self, prompted: StaticPrompts) -> None:
        super().__init__()
        self.prompted = prompted

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images by two passes of the image tower."""
        features = blend(self.prompted.encode(clip, images), clip.encode_images(images))
        return self.prompted.score(features)

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        if strays := sorted(key for key in found if not key.startswith(PREFIX)):
            raise ValueError(f"unexpected {', '.join(strays[:3])}; all keys begin with {PREFIX}")
        own = {key.removeprefix(PREFIX): value for key, value in found.items()}
        StaticPrompts.check_state(own, clip, classes)

    @classmethod
    def rebuild(cls, state: Mapping[str, Tensor], clip: CLIP) -> "Blended":
        own = {key.removeprefix(PREFIX): value for key, value in state.items()}
        return cls(StaticPrompts.rebuild(own, clip))


def blend(prompted: Rows, known: Rows) -> Rows:
    """The direction half-way between two features, in fp32 and of length 1: ``[rows, embed]``."""
    halves = normalize(prompted.float(), dim=-1) + normalize(known.float(), dim=-1)
    return normalize(halves, dim=-1)
