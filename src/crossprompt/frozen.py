"""Frozen forms: what is left of a trained method, enough to score one image without text or
neighbours."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.shapes import ClassFeatures, ImagePrompt, Images, Logits, Scalar


class Frozen(nn.Module, ABC):
    """Scores images with the frozen image tower and constants. Its ``state_dict`` is what is
    saved."""

    form: ClassVar[str]
    """What a saved classifier calls it."""

    @abstractmethod
    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images, each alike in any batch: ``[batch, classes]`` in fp32."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Tensor], clip: CLIP, classes: int) -> "Frozen":
        """Rebuild from a saved state; ``ValueError`` names a key or shape that does not fit."""


class StaticPrompts(Frozen):
    """Constant image prompts, then one weight per class.

    Every method whose prompts do not depend on the image ends here: cosine with class features
    times the scale for prompt methods, a linear layer on the normalised feature for a probe.

    Args:
        image_prompts: block to the prompt ``[length, image_width]`` that is written before it; at
            0 it is appended.
        class_weights: ``[classes, embed]``.
        scale: factor of the cosines.
        bias: ``[classes]``, zero where left out.
    """

    form = "static-prompts"

    def __init__(
        self,
        image_prompts: Mapping[int, ImagePrompt],
        class_weights: ClassFeatures,
        scale: Scalar,
        bias: Float[Tensor, " classes"] | None = None,
    ) -> None:
        super().__init__()
        bias = torch.zeros(class_weights.shape[0]) if bias is None else bias
        self.depths = sorted(image_prompts)
        for depth in self.depths:
            self.register_buffer(f"image_prompt_{depth}", _constant(image_prompts[depth]))
        self.register_buffer("class_weights", _constant(class_weights))
        self.register_buffer("scale", _constant(scale))
        self.register_buffer("bias", _constant(bias).to(self.class_weights.device))

    @classmethod
    def of(
        cls,
        clip: CLIP,
        classes: ClassFeatures,
        image_prompts: Mapping[int, ImagePrompt] | None = None,
    ) -> "StaticPrompts":
        """The form of a prompt method, from its class features and image prompts."""
        scale = clip.logit_scale.float().exp()
        return cls(image_prompts or {}, normalize(classes.float(), dim=-1), scale)

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images."""
        tokens = clip.image.embed(images)
        start = tokens.shape[1]
        if 0 in self.depths:
            tokens = self._write(tokens, start, 0)
        tokens = clip.image.enter(tokens)
        for depth, block in enumerate(clip.image.blocks):
            if depth > 0 and depth in self.depths:
                tokens = self._write(tokens, start, depth)
            tokens = block(tokens)
        features = normalize(clip.image.pool(tokens).float(), dim=-1)
        return self.scale * features @ self.class_weights.T + self.bias

    def _write(self, tokens: Tensor, start: int, depth: int) -> Tensor:
        prompt = getattr(self, f"image_prompt_{depth}").to(tokens.dtype)
        return torch.cat([tokens[:, :start], prompt.expand(tokens.shape[0], -1, -1)], dim=1)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], clip: CLIP, classes: int) -> "StaticPrompts":
        """Rebuild from a saved state."""
        expected = {"class_weights": (classes, clip.config.embed), "scale": (), "bias": (classes,)}
        depths = {f"image_prompt_{depth}": depth for depth in range(clip.config.image.blocks)}
        prompts = {depths[key]: value for key, value in state.items() if key in depths}
        unknown = sorted(set(state) - set(expected) - set(depths))
        missing = sorted(set(expected) - set(state))
        if unknown or missing:
            raise ValueError(f"unexpected keys {unknown}, missing keys {missing}")
        for key, shape in expected.items():
            if tuple(state[key].shape) != shape:
                raise ValueError(f"{key} is {tuple(state[key].shape)}, expected {shape}")
        for depth, prompt in prompts.items():
            if prompt.ndim != 2 or prompt.shape[1] != clip.config.image.width:
                raise ValueError(
                    f"image_prompt_{depth} is {tuple(prompt.shape)}, expected (length, {clip.config.image.width})"
                )
        return cls(prompts, state["class_weights"], state["scale"], state["bias"])


FORMS: dict[str, type[Frozen]] = {form.form: form for form in (StaticPrompts,)}
"""Name to class, for loading."""


def _constant(x: Tensor) -> Tensor:
    return x.detach().float().clone()
