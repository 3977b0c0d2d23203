"""Frozen form of every method whose prompts do not depend on the image."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import Frozen, check_tensors
from crossprompt.methods.prompts import WordPrompt, encode_prompted_images
from crossprompt.utils.shapes import (
    ClassFeatures,
    ImageFeatures,
    ImagePrompt,
    Images,
    Logits,
    Scalar,
)
from crossprompt.utils.tensor_file import Headers

PROMPT, TEXT_PROMPT = "image_prompt_", "text_prompt_"
"""Prefixes of the keys of prompts; the block's number follows."""


class StaticPrompts(Frozen):
    """Constant image prompts, then one weight per class.

    The score is the scaled cosine with class features for prompt methods, and a linear layer on the
    normalized feature for the linear probe.

    Args:
        image_prompts: block to its prompt ``[length, image_width]``, as ``encode_prompted_images``
            takes them.
        class_weights: ``[classes, embed]``.
        scale: factor of the products of features and class weights.
        bias: ``[classes]``, zero by default.
        text_prompts: block to the calibrated prompt of the text tower, saved to compute the weights
            of other classes; no image is scored with it.
    """

    form = "static-prompts"
    class_weights: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(
        self,
        image_prompts: Mapping[int, ImagePrompt],
        class_weights: ClassFeatures,
        scale: Scalar,
        bias: Float[Tensor, " classes"] | None = None,
        text_prompts: Mapping[int, WordPrompt] | None = None,
    ) -> None:
        super().__init__()
        self.depths = sorted(image_prompts)
        self.hold(**{f"{PROMPT}{depth}": image_prompts[depth] for depth in self.depths})
        bias = class_weights.new_zeros(class_weights.shape[0]) if bias is None else bias
        self.hold(class_weights=class_weights, scale=scale, bias=bias)
        self.hold(**{f"{TEXT_PROMPT}{depth}": x for depth, x in (text_prompts or {}).items()})

    @classmethod
    def of(
        cls,
        clip: CLIP,
        classes: ClassFeatures,
        image_prompts: Mapping[int, ImagePrompt] | None = None,
        text_prompts: Mapping[int, WordPrompt] | None = None,
    ) -> "StaticPrompts":
        """Build it from the class features and prompts of a prompt method."""
        scale, weights = clip.logit_scale.float().exp(), normalize(classes.float(), dim=-1)
        return cls(image_prompts or {}, weights, scale, text_prompts=text_prompts)

    @property
    def image_prompts(self) -> dict[int, ImagePrompt]:
        """Image prompts by block."""
        return _prompts(dict(self.named_buffers()), PROMPT)

    @property
    def text_prompts(self) -> dict[int, WordPrompt]:
        """Calibrated text prompts by block, if saved."""
        return _prompts(dict(self.named_buffers()), TEXT_PROMPT)

    @property
    def plain(self) -> bool:
        """True without image prompts: it then scores unmodified CLIP features."""
        return not self.depths

    def forward(self, clip: CLIP, images: Images) -> Logits:
        return self.score(self.encode(clip, images))

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, normalized or not."""
        return self.scale * normalize(features.float(), dim=-1) @ self.class_weights.T + self.bias

    def encode(self, clip: CLIP, images: Images) -> ImageFeatures:
        """Features of prompted images."""
        return encode_prompted_images(clip, images, self.image_prompts)

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for start, tower in ((PROMPT, clip.config.image), (TEXT_PROMPT, clip.config.text)):
            possible = {f"{start}{depth}" for depth in range(tower.blocks)}
            prompts = {key: value for key, value in found.items() if key in possible}
            length = max((value.shape[0] for value in prompts.values() if value.ndim), default=0)
            shapes |= {key: (length, tower.width) for key in prompts}
        weights = {"class_weights": (classes, clip.config.embed), "scale": (), "bias": (classes,)}
        check_tensors(found, {**shapes, **weights})

    @classmethod
    def rebuild(cls, state: Mapping[str, Tensor], clip: CLIP) -> "StaticPrompts":
        weights = (state["class_weights"], state["scale"], state["bias"])
        return cls(_prompts(state, PROMPT), *weights, _prompts(state, TEXT_PROMPT))


def _prompts(state: Mapping[str, Tensor], start: str) -> dict[int, Tensor]:
    """Prompts by block, from the keys with a prefix."""
    found = {key: value for key, value in state.items() if key.startswith(start)}
    return {int(key.removeprefix(start)): found[key] for key in sorted(found)}
