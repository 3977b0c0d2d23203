"""The text tower as CLIP's authors compute it: every text padded to the context, one causal mask.

The slow oracle of ``TextTokens``. It shares no code with it: one row per group and text, attention
written out, states of prompt tokens handed in for any block.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from crossprompt.clip.blocks import TextBlock
from crossprompt.clip.model import CLIP
from crossprompt.clip.text_engine import TokenizedTexts


def dense_text_features(
    clip: CLIP, texts: TokenizedTexts, prompts: Mapping[int, Tensor] | None = None
) -> Tensor:
    """Features ``[groups, texts, embed]``.

    Args:
        clip: any.
        texts: in the caller's order.
        prompts: per block, ``[groups, length, width]``: those of block 0 are inserted after the
            start of text, those of a later block replace them there.
    """
    prompts = prompts or {}
    first = prompts.get(0, torch.zeros(1, 0, clip.config.text.width))
    groups, length, _ = first.shape
    rows, ends = [], []
    for group in range(groups):
        for own in texts.own:
            words = clip.text.words(torch.tensor([*texts.shared, *own]))
            row = torch.cat([words[:1], first[group], words[1:]])
            ends.append(row.shape[0] - 1)
            padding = row.new_zeros(clip.config.text.context - row.shape[0], row.shape[1])
            rows.append(torch.cat([row, padding]))
    x = torch.stack(rows) + clip.text.positions
    for depth, block in enumerate(clip.text.blocks):
        if depth and depth in prompts:
            replaced = prompts[depth].repeat_interleave(len(texts.own), dim=0)
            x = torch.cat([x[:, :1], replaced, x[:, 1 + length :]], dim=1)
        x = dense_block(block, x)
    pooled = clip.text.post_norm(x[torch.arange(x.shape[0]), torch.tensor(ends)])
    return clip.text.projection(pooled).unflatten(0, (groups, len(texts.own)))


def dense_block(block: TextBlock, x: Tensor) -> Tensor:
    """One causal block on padded rows ``[rows, context, width]``."""
    heads = block.attention.heads
    rows, tokens, width = x.shape
    split = (rows, tokens, heads, width // heads)
    parts = block.attention.qkv(block.norm_1(x)).split(width, dim=-1)
    query, key, value = (part.reshape(split).transpose(1, 2) for part in parts)
    scores = query @ key.transpose(2, 3) / (width // heads) ** 0.5
    scores = scores + torch.full((tokens, tokens), -torch.inf).triu(1)
    mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(rows, tokens, width)
    x = x + block.attention.out(mixed)
    return x + block.mlp(block.norm_2(x))
