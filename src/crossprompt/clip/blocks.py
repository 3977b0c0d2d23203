"""Transformer blocks of both towers, with the options that make a training step fast and small."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention, softmax
from torch.utils.checkpoint import checkpoint

from crossprompt.clip.text_engine import TextTokens
from crossprompt.utils.shapes import ImageTokens

Tokens = Float[Tensor, "rows tokens width"]
QueryTokens = Float[Tensor, "rows queries width"]
ClassToken = Float[Tensor, "batch 1 width"]
Heads = Float[Tensor, "rows heads tokens head_width"]
QueryHeads = Float[Tensor, "rows heads queries head_width"]

Attend = Callable[[Heads, Heads, Heads], Heads]
"""Queries, keys and values to the attention's output."""
Project = Callable[["Attention", Tensor, slice], Tensor]
"""Tokens ``[rows, tokens, width]`` to ``[rows, tokens, parts * width]``, of an attention and some
of its three projections."""
QUERY, KEY_AND_VALUE, ALL = slice(0, 1), slice(1, 3), slice(0, 3)
"""Slices of the three projections."""
FEW = 256
"""Tokens whose scores may be held at once: 12 heads and 4 images of so many take 6 MB in bf16."""


def attend_to_all(query: QueryHeads, key: Heads, value: Heads) -> QueryHeads:
    """Full attention.

    On a CPU in bf16 PyTorch's fused kernel multiplies in fp32 (its backward pass takes two and a
    half times as long as the plain products), so there the products are written out.
    """
    if query.dtype == torch.bfloat16 and query.device.type == "cpu" and key.shape[2] <= FEW:
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        return softmax(scores, dim=-1) @ value
    return scaled_dot_product_attention(query, key, value)


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), OpenAI's approximation of GELU."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Apply elementwise."""
        return _QuickGELU.apply(x)  # type: ignore[no-untyped-call]


class _QuickGELU(torch.autograd.Function):
    """``silu(z) / 1.702`` with z = 1.702 x, whose derivative is that of ``silu`` at z.

    So one tensor is saved and the gradient takes one pass, where the plain formula saves two and
    takes four over the widest tensors there are.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        z = 1.702 * x
        ctx.save_for_backward(z)
        return functional.silu(z).div_(1.702)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradient, z)


class Attention(nn.Module):
    """Multi-head attention; the caller hands in the mask and, if need be, other projections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def project(
        self, x: Tokens, parts: slice = ALL, weight: Float[Tensor, "outputs width"] | None = None
    ) -> Float[Tensor, "rows tokens parts"]:
        """Queries, keys and values side by side, or ``parts`` of the three.

        ``weight`` replaces the attention's own, that of all three.
        """
        width = x.shape[-1]
        rows = slice(parts.start * width, parts.stop * width)
        weight = self.qkv.weight if weight is None else weight
        return functional.linear(x, weight[rows], self.qkv.bias[rows])

    def forward(
        self, x: Tokens, attend: Attend, project: Project, queries: QueryTokens | None = None
    ) -> QueryTokens:
        """Attend from all tokens of ``x``, or from ``queries`` alone, to all tokens of ``x``.

        ``attend`` applies the mask; ``project`` is ``Attention.project``, or a replacement.
        """
        if queries is None:
            query, key, value = self._split(project(self, x, ALL))
        else:
            (query,) = self._split(project(self, queries, QUERY))
            key, value = self._split(project(self, x, KEY_AND_VALUE))
        return self.out(attend(query, key, value).transpose(1, 2).flatten(2))

    def _split(
        self, x: Float[Tensor, "rows tokens parts"]
    ) -> Float[Tensor, "part rows heads tokens head"]:
        """Parts of the model's width, each in heads."""
        head = self.out.in_features // self.heads
        return x.unflatten(-1, (-1, self.heads, head)).permute(2, 0, 3, 1, 4)


class Block(nn.Module):
    """A pre-norm transformer block.

    A method may call it with another ``project`` than its attention's; as that is an argument, it
    also holds where the block is recomputed.
    """

    recompute: bool = False
    """Activation checkpointing: save the input only; see ``training.memory``."""

    def __init__(self, width: int, heads: int, mlp_width: int, activation: str) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_width),
            QuickGELU() if activation == "quick_gelu" else nn.GELU(),
            nn.Linear(mlp_width, width),
        )

    def mix(
        self, x: Tokens, attend: Attend, project: Project, queries: QueryTokens | None = None
    ) -> QueryTokens:
        """Attention, then MLP, each added to its input; only for ``queries`` if they are given."""
        own = x if queries is None else queries
        normed = None if queries is None else self.norm_1(queries)
        own = own + self.attention(self.norm_1(x), attend, project, normed)
        return own + self.mlp(self.norm_2(own))

    def run(self, *inputs: Any) -> Tensor:
        """Call ``mix``, under activation checkpointing if ``recompute`` is set."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self.mix, *inputs, use_reentrant=False)
        return self.mix(*inputs)


class ImageBlock(Block):
    """A block with full attention over the tokens of an image."""

    def forward(self, tokens: ImageTokens, project: Project = Attention.project) -> ImageTokens:
        """Apply the block to all tokens."""
        return self.run(tokens, attend_to_all, project)


class LastImageBlock(Block):
    """An image block that returns the class token alone: no other is read after it."""

    def forward(self, tokens: ImageTokens, project: Project = Attention.project) -> ClassToken:
        """Apply the block and return the class token."""
        return self.run(tokens, attend_to_all, project, tokens[:, :1])


class TextBlock(Block):
    """A block with causal attention within each text."""

    most_tokens: int | None = None
    """Tokens processed at once, about; None for all. Under ``recompute`` this bounds the memory of
    recomputing a block."""

    def forward(self, tokens: TextTokens, project: Project = Attention.project) -> TextTokens:
        """Apply the block to all tokens."""
        parts = tokens.parts(self.most_tokens)
        return tokens.join([self.run(part.activations, part.attend, project) for part in parts])


class LastTextBlock(TextBlock):
    """A text block that returns the end-of-text tokens alone: no other is read after it."""

    def forward(self, tokens: TextTokens, project: Project = Attention.project) -> TextTokens:
        """Apply the block and return the end-of-text tokens."""
        ends = [
            self.run(part.activations, part.attend_from_ends, project, part.ends())
            for part in tokens.parts(self.most_tokens)
        ]
        return tokens.join_ends(ends)
