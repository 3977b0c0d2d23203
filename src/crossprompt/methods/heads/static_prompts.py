"""The form of every method whose prompts do not depend on the image."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.methods.heads.base import Frozen, check_tensors, constant
from crossprompt.methods.prompted import encode_prompted_images
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
"""What the keys of prompts begin with, before the block's number."""

WordPrompt = Float[Tensor, "length text_width"]
"""A prompt of the text tower, the same for all classes."""


class StaticPrompts(Frozen):
    """Constant image prompts, then one weight per class.

    Every method whose prompts do not depend on the image ends here: cosine with class features
    times the scale for prompt methods, a linear layer on the normalized feature for a probe.

    Args:
        image_prompts: block to the prompt ``[length, image_width]`` that is written before it; at
            0 it is appended.
        class_weights: ``[classes, embed]``.
        scale: factor of the products of features and class weights.
        bias: ``[classes]``, zero where left out.
        text_prompts: block to the prompt that the class weights were computed with, where other
            classes could not be given weights without it; no image is scored with it.
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
        for depth in self.depths:
            self.register_buffer(f"{PROMPT}{depth}", constant(image_prompts[depth]))
        self.register_buffer("class_weights", constant(class_weights))
        self.register_buffer("scale", constant(scale))
        bias = class_weights.new_zeros(class_weights.shape[0]) if bias is None else bias
        self.register_buffer("bias", constant(bias))
        for depth, prompt in (text_prompts or {}).items():
            self.register_buffer(f"{TEXT_PROMPT}{depth}", constant(prompt))

    @classmethod
    def of(
        cls,
        clip: CLIP,
        classes: ClassFeatures,
        image_prompts: Mapping[int, ImagePrompt] | None = None,
        text_prompts: Mapping[int, WordPrompt] | None = None,
    ) -> "StaticPrompts":
        """The form of a prompt method, from its class features and prompts."""
        scale, weights = clip.logit_scale.float().exp(), normalize(classes.float(), dim=-1)
        return cls(image_prompts or {}, weights, scale, text_prompts=text_prompts)

    @property
    def image_prompts(self) -> dict[int, ImagePrompt]:
        """Block to what is written before it."""
        return _prompts(dict(self.named_buffers()), PROMPT)

    @property
    def text_prompts(self) -> dict[int, WordPrompt]:
        """Block to what was written before it when the classes were encoded, if that was kept."""
        return _prompts(dict(self.named_buffers()), TEXT_PROMPT)

    @property
    def plain(self) -> bool:
        """Whether images enter as CLIP's own features, which can then be computed once for all."""
        return not self.depths

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images, each alike in any batch."""
        return self.score(self.encode(clip, images))

    def score(self, features: ImageFeatures) -> Logits:
        """Score image features, which need not be normalized."""
        return self.scale * normalize(features.float(), dim=-1) @ self.class_weights.T + self.bias

    def encode(self, clip: CLIP, images: Images) -> ImageFeatures:
        """The image tower with the constant prompts written before its blocks."""
        return encode_prompted_images(clip, images, self.image_prompts)

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        """Compare with what the backbone and the classes ask for."""
        shapes: dict[str, tuple[int, ...]] = {}
        for start, tower in ((PROMPT, clip.config.image), (TEXT_PROMPT, clip.config.text)):
            possible = {f"{start}{depth}" for depth in range(tower.blocks)}
            prompts = {key: value for key, value in found.items() if key in possible}
            length = max((value.shape[0] for value in prompts.values() if value.ndim), default=0)
            shapes |= {key: (length, tower.width) for key in prompts}
        weights = {"class_weights": (classes, clip.config.embed), "scale": (), "bias": (classes,)}
        check_tensors(found, {**shapes, **weights})

    @classmethod
    def rebuild(cls, state: Mapping[str, Tensor]) -> "StaticPrompts":
        """From a state that has been checked."""
        weights = (state["class_weights"], state["scale"], state["bias"])
        return cls(_prompts(state, PROMPT), *weights, _prompts(state, TEXT_PROMPT))

    @classmethod
    def _rebuild(cls, state: Mapping[str, Tensor], clip: CLIP) -> "StaticPrompts":
        return cls.rebuild(state)


def _prompts(state: Mapping[str, Tensor], start: str) -> dict[int, Tensor]:
    """Block to prompt, of the keys that begin so."""
    found = {key: value for key, value in state.items() if key.startswith(start)}
    return {int(key.removeprefix(start)): found[key] for key in sorted(found)}
