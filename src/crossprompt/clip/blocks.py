"""Transformer blocks of both towers: what is fast about them, and what they need not keep."""

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

Heads = Float[Tensor, "rows heads tokens head_width"]
Asking = Float[Tensor, "rows heads asking head_width"]

FEW = 256
"""Tokens whose scores may be held at once: 12 heads and 4 images of so many take 6 MB in bf16."""


def attend_to_all(query: Asking, key: Heads, value: Heads) -> Asking:
    """Every asking token sees every token.

    On a CPU in bf16 PyTorch's fused kernel multiplies in fp32 (its backward pass takes two and a
    half times as long as the plain products), so there the products are written out.
    """
    if query.dtype == torch.bfloat16 and query.device.type == "cpu" and key.shape[2] <= FEW:
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        return softmax(scores, dim=-1) @ value
    return scaled_dot_product_attention(query, key, value)


Attend = Callable[[Heads, Heads, Heads], Heads]
"""Queries, keys and values to what the asking tokens learn."""
Project = Callable[["Attention", Tensor, slice], Tensor]
"""How tokens ``[rows, tokens, width]`` become queries, keys and values: of the attention, the
tokens and which of the three, to ``[rows, tokens, parts * width]``."""
QUERY, KEY_AND_VALUE, ALL = slice(0, 1), slice(1, 3), slice(0, 3)
"""Which of the three."""
ClassToken = Float[Tensor, "batch 1 width"]


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), OpenAI's approximation of GELU."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Apply elementwise."""
        return _QuickGELU.apply(x)  # type: ignore[no-untyped-call]


class _QuickGELU(torch.autograd.Function):
    """``silu(z) / 1.702`` with z = 1.702 x, whose derivative is that of ``silu`` at z.

    So one tensor is kept and the gradient takes one pass, where the plain formula keeps two and
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
    """Multi-head attention, of which the caller hands in two parts.

    ``attend`` decides which token sees which, ``project`` how tokens become queries, keys and
    values: usually by the method of that name.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def project(
        self,
        x: Float[Tensor, "rows tokens width"],
        parts: slice = ALL,
        weight: Float[Tensor, "outputs width"] | None = None,
    ) -> Float[Tensor, "rows tokens parts"]:
        """Queries, keys and values side by side, or some of the three.

        Args:
            x: tokens.
            parts: which of the three.
            weight: in place of the attention's own, for all three.
        """
        width = x.shape[-1]
        rows = slice(parts.start * width, parts.stop * width)
        weight = self.qkv.weight if weight is None else weight
        return functional.linear(x, weight[rows], self.qkv.bias[rows])

    def forward(
        self, x: Float[Tensor, "rows tokens width"], attend: Attend, project: Project
    ) -> Float[Tensor, "rows tokens width"]:
        """Mix the tokens of every row."""
        query, key, value = self._split(project(self, x, ALL))
        return self.out(attend(query, key, value).transpose(1, 2).flatten(2))

    def ask(
        self,
        asking: Float[Tensor, "rows asking width"],
        x: Float[Tensor, "rows tokens width"],
        attend: Attend,
        project: Project,
    ) -> Float[Tensor, "rows asking width"]:
        """What some tokens learn from all: as ``forward``, without the other tokens' queries."""
        (query,) = self._split(project(self, asking, QUERY))
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

    It can be called with another ``project`` than its attention's. As that is handed in with the
    tokens, it is still the one where the block is computed again.
    """

    recompute: bool = False
    """Keep only what goes in, and compute the rest again for the gradient; see ``memory``."""

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
        self, x: Float[Tensor, "rows tokens width"], attend: Attend, project: Project
    ) -> Float[Tensor, "rows tokens width"]:
        """Attention, then MLP, each added to its input."""
        x = x + self.attention(self.norm_1(x), attend, project)
        return x + self.mlp(self.norm_2(x))

    def mix_into(
        self,
        asking: Float[Tensor, "rows asking width"],
        x: Float[Tensor, "rows tokens width"],
        attend: Attend,
        project: Project,
    ) -> Float[Tensor, "rows asking width"]:
        """``mix`` for the tokens that are read afterwards; the others' answers are never computed.

        Args:
            asking: those tokens, as they stand in ``x``.
            x: all tokens.
            attend: from the asking tokens to all.
            project: to queries, keys and values.
        """
        asking = asking + self.attention.ask(self.norm_1(asking), self.norm_1(x), attend, project)
        return asking + self.mlp(self.norm_2(asking))

    def run(self, mix: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """Call ``mix`` or ``mix_into``, which computes the same again if ``recompute`` says so."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(mix, *inputs, use_reentrant=False)
        return mix(*inputs)


class ImageBlock(Block):
    """A block in which every token of an image sees every other."""

    def forward(self, tokens: ImageTokens, project: Project = Attention.project) -> ImageTokens:
        """Tokens to tokens."""
        return self.run(self.mix, tokens, attend_to_all, project)


class LastImageBlock(Block):
    """An image block of which only the class token is kept: no other is read after it."""

    def forward(self, tokens: ImageTokens, project: Project = Attention.project) -> ClassToken:
        """Tokens to the class token."""
        return self.run(self.mix_into, tokens[:, :1], tokens, attend_to_all, project)


class TextBlock(Block):
    """A block in which a token sees the earlier tokens of its own text."""

    most_tokens: int | None = None
    """Tokens that are worked on at once, or about so many; None for all. Where ``recompute`` is
    set, this bounds what is alive while a block is computed again."""

    def forward(self, tokens: TextTokens, project: Project = Attention.project) -> TextTokens:
        """Tokens to tokens."""
        parts = tokens.parts(self.most_tokens)
        return tokens.join(
            [self.run(self.mix, part.states, part.attend, project) for part in parts]
        )


class LastTextBlock(TextBlock):
    """A text block of which only the end-of-text tokens are kept: no other is read after it."""

    def forward(self, tokens: TextTokens, project: Project = Attention.project) -> TextTokens:
        """Tokens to end-of-text tokens."""
        parts = tokens.parts(self.most_tokens)
        return tokens.join_ends(
            [
                self.run(self.mix_into, part.ends(), part.states, part.attend_from_ends, project)
                for part in parts
            ]
        )
