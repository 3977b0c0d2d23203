"""Attention among all tokens, by the fastest exact way."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, softmax

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
