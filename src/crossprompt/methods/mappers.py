"""HiCroPL's parts: what carries the prompts of some blocks from one tower to the other."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossprompt.clip.blocks import QuickGELU

Prompt = Float[Tensor, "length width"]
Prompts = Float[Tensor, "blocks length width"]
OtherPrompts = Float[Tensor, "blocks length other_width"]
Tokens = Float[Tensor, "tokens width"]
Proxies = Float[Tensor, "blocks other_width"]
Proxy = Float[Tensor, "1 width"]

HEADS = 8
"""Of every attention, whatever the width."""


class Summary(nn.Module):
    """One token that stands for a block's prompt (the paper's layer-specific knowledge proxy).

    Args:
        width: of the prompt.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proxy = nn.Parameter(torch.randn(1, width))
        self.norm_1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS)
        self.norm_2 = nn.LayerNorm(width)

    def forward(self, prompt: Prompt) -> Proxy:
        """What the proxy learns by asking the prompt's tokens."""
        query, key = self.norm_1(self.proxy), self.norm_1(prompt)
        answer, _ = self.attention(query, key, key, need_weights=False)
        return self.norm_2(self.proxy + answer)


class Mapper(nn.Module):
    """Rewrites tokens of one tower by asking proxies of the other.

    Args:
        width: of the tokens.
        other_width: of the proxies.
    """

    def __init__(self, width: int, other_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(other_width, width)
        self.value = nn.Linear(other_width, width)
        self.norm_1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS)
        self.norm_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tokens, proxies: Proxies) -> Tokens:
        """The tokens, rewritten: every one sees all proxies."""
        query, key, value = self.query(tokens), self.key(proxies), self.value(proxies)
        asked = self.norm_1(query), self.norm_1(key), self.norm_1(value)
        answer: Tokens = query + self.attention(*asked, need_weights=False)[0]
        answer = answer + self.mlp(self.norm_2(answer))
        return answer


class Crossing(nn.Module):
    """The prompts of some blocks of one tower, rewritten by those of the other.

    Args:
        width: of the tower that is written to.
        other_width: of the tower that is read.
        blocks: how many.
    """

    def __init__(self, width: int, other_width: int, blocks: int) -> None:
        super().__init__()
        self.summaries = nn.ModuleList(Summary(other_width) for _ in range(blocks))
        self.mapper = Mapper(width, other_width)

    def forward(self, own: Prompts, other: OtherPrompts) -> Prompts:
        """New prompts in place of the tower's own, as functions of both."""
        proxies = [summary(prompt) for summary, prompt in zip(self.summaries, other, strict=True)]
        tokens = self.mapper(own.flatten(0, 1), torch.cat(proxies))
        return tokens.unflatten(0, own.shape[:2])
