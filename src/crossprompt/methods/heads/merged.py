"""Frozen CLIP-LoRA: the image tower with merged query, key and value projections."""

from collections.abc import Mapping, Sequence
from functools import partial

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.blocks import Attention, Project
from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import Frozen, check_tensors
from crossprompt.utils.shapes import ClassFeatures, ImageFeatures, Images, Logits, Scalar
from crossprompt.utils.tensor_file import Headers

Down = Float[Tensor, "blocks 3 rank width"]
"""First factors of the changes to the three projections of every block."""
Up = Float[Tensor, "blocks 3 width rank"]
"""Second factors of the changes."""
Weight = Float[Tensor, "outputs width"]
"""The projections to queries, keys and values, stacked."""


class Merged(Frozen):
    """The class features, and the image tower with low-rank changes to its attention.

    The changes are merged into copies of the weights once, so an image takes as long as without
    them; CLIP's own weights stay as they are.

    Args:
        clip: the backbone.
        down: ``[blocks, 3, rank, width]``.
        up: ``[blocks, 3, width, rank]``.
        class_weights: ``[classes, embed]``, of length 1.
        scale: factor of the cosines.
    """

    form = "merged"
    down: Tensor
    up: Tensor
    class_weights: Tensor
    scale: Tensor

    def __init__(
        self, clip: CLIP, down: Down, up: Up, class_weights: ClassFeatures, scale: Scalar
    ) -> None:
        super().__init__()
        self.hold(down=down, up=up, class_weights=class_weights, scale=scale)
        for number, factors in enumerate(zip(self.down, self.up, strict=True)):
            own = clip.image.get_parameter(f"blocks.{number}.attention.qkv.weight")
            weight = merge(own, *factors)
            self.register_buffer(f"weight_{number}", weight, persistent=False)

    def forward(self, clip: CLIP, images: Images) -> Logits:
        weights = [getattr(self, f"weight_{number}") for number in range(self.down.shape[0])]
        projects = [partial(Attention.project, weight=weight) for weight in weights]
        features = encode_images(clip, images, projects)
        return self.scale * normalize(features.float(), dim=-1) @ self.class_weights.T

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        image, down = clip.config.image, found.get("down")
        rank = down.shape[2] if down is not None and down.ndim == 4 else 0
        shapes: dict[str, tuple[int, ...]] = {
            "down": (image.blocks, 3, rank, image.width),
            "up": (image.blocks, 3, image.width, rank),
            "class_weights": (classes, clip.config.embed),
            "scale": (),
        }
        check_tensors(found, shapes)

    @classmethod
    def rebuild(cls, state: Mapping[str, Tensor], clip: CLIP) -> "Merged":
        return cls(clip, **state)


def merge(
    weight: Weight, down: Float[Tensor, "3 rank width"], up: Float[Tensor, "3 width rank"]
) -> Weight:
    """A block's weight plus its change, in its own dtype and on its device."""
    change = (up @ down).flatten(0, 1).to(weight.device)
    return (weight.detach().float() + change).to(weight.dtype)


def encode_images(clip: CLIP, images: Images, projects: Sequence[Project]) -> ImageFeatures:
    """Image features, not normalized.

    Args:
        clip: the frozen backbone.
        images: ``[batch, 3, side, side]``.
        projects: the query, key and value projection of every block.
    """
    tokens = clip.image.enter(clip.image.embed(images))
    for block, project in zip(clip.image.blocks, projects, strict=True):
        tokens = block(tokens, project)
    return clip.image.pool(tokens)
