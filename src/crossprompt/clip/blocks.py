"""Transformer blocks of both towers: what is fast about them, and what they need not keep."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from crossprompt.clip.attention import Heads, attend_to_all
from crossprompt.clip.text_tokens import TextTokens
from crossprompt.shapes import ImageTokens

Attend = Callable[[Heads, Heads, Heads], Heads]
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
    """Multi-head attention; which token sees which is the caller's: it hands in ``attend``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "rows tokens width"], attend: Attend
    ) -> Float[Tensor, "rows tokens width"]:
        """Mix the tokens of every row."""
        query, key, value = self._split(self.qkv(x))
        return self.out(attend(query, key, value).transpose(1, 2).flatten(2))

    def ask(
        self,
        asking: Float[Tensor, "rows asking width"],
        x: Float[Tensor, "rows tokens width"],
        attend: Attend,
    ) -> Float[Tensor, "rows asking width"]:
        """What some tokens learn from all: as ``forward``, without the other tokens' queries."""
        width = x.shape[-1]
        weights, biases = (
            part.split([width, 2 * width]) for part in (self.qkv.weight, self.qkv.bias)
        )
        (query,) = self._split(functional.linear(asking, weights[0], biases[0]))
        key, value = self._split(functional.linear(x, weights[1], biases[1]))
        return self.out(attend(query, key, value).transpose(1, 2).flatten(2))

    def _split(
        self, x: Float[Tensor, "rows tokens parts"]
    ) -> Float[Tensor, "part rows heads tokens head"]:
        """Parts of the model's width, each in heads."""
        head = self.out.in_features // self.heads
        return x.unflatten(-1, (-1, self.heads, head)).permute(2, 0, 3, 1, 4)


class Block(nn.Module):
    """A pre-norm transformer block."""

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
        self, x: Float[Tensor, "rows tokens width"], attend: Attend
    ) -> Float[Tensor, "rows tokens width"]:
        """Attention, then MLP, each added to its input."""
        x = x + self.attention(self.norm_1(x), attend)
        return x + self.mlp(self.norm_2(x))

    def mix_into(
        self,
        asking: Float[Tensor, "rows asking width"],
        x: Float[Tensor, "rows tokens width"],
        attend: Attend,
    ) -> Float[Tensor, "rows asking width"]:
        """``mix`` for the tokens that are read afterwards; the others' answers are never computed.

        Args:
            asking: those tokens, as they stand in ``x``.
            x: all tokens.
            attend: from the asking tokens to all.
        """
        asking = asking + self.attention.ask(self.norm_1(asking), self.norm_1(x), attend)
        return asking + self.mlp(self.norm_2(asking))

    def run(self, mix: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """Call ``mix`` or ``mix_into``, which computes the same again if ``recompute`` says so."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(mix, *inputs, use_reentrant=False)
        return mix(*inputs)


class ImageBlock(Block):
    """A block in which every token of an image sees every other."""

    def forward(self, tokens: ImageTokens) -> ImageTokens:
        """Tokens to tokens."""
        return self.run(self.mix, tokens, attend_to_all)


class LastImageBlock(Block):
    """An image block of which only the class token is kept: no other is read after it."""

    def forward(self, tokens: ImageTokens) -> ClassToken:
        """Tokens to the class token."""
        return self.run(self.mix_into, tokens[:, :1], tokens, attend_to_all)


class TextBlock(Block):
    """A block in which a token sees the earlier tokens of its own text."""

    most_tokens: int | None = None
    """Tokens that are worked on at once, or about so many; None for all. Where ``recompute`` is
    set, this bounds what is alive while a block is computed again."""

    def forward(self, tokens: TextTokens) -> TextTokens:
        """Tokens to tokens."""
        parts = tokens.parts(self.most_tokens)
        return tokens.join([self.run(self.mix, part.states, part.attend) for part in parts])


class LastTextBlock(TextBlock):
    """A text block of which only the end-of-text tokens are kept: no other is read after it."""

    def forward(self, tokens: TextTokens) -> TextTokens:
        """Tokens to end-of-text tokens."""
        parts = tokens.parts(self.most_tokens)
        return tokens.join_ends(
            [
                self.run(self.mix_into, part.ends(), part.states, part.attend_from_ends)
                for part in parts
            ]
        )
