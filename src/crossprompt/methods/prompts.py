"""Prompt tokens: drawing them, and putting them among the image tokens."""

import torch
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.shapes import ImagePrompt, ImageTokens

DEVIATION = 0.02
"""Standard deviation that random prompts are drawn with."""


def random_prompt(*shape: int) -> nn.Parameter:
    """Prompt tokens from N(0, 0.02^2)."""
    return nn.Parameter(DEVIATION * torch.randn(*shape))


def prompt_from_words(clip: CLIP, words: str, length: int) -> nn.Parameter:
    """The embeddings of the first ``length`` tokens of ``words``: ``[length, text_width]``.

    Raises:
        RequestError: the words have fewer tokens than ``length``.
    """
    ids = clip.tokenizer.encode(words)
    if len(ids) < length:
        raise RequestError(
            f"the initial words {words!r} are {len(ids)} tokens but the prompt has {length}; "
            f"set length to {len(ids)} or less, or leave the words out for a random start"
        )
    index = torch.tensor(ids[:length], device=clip.device)
    return nn.Parameter(clip.text.words(index).detach().float().clone())


def append(tokens: ImageTokens, prompt: ImagePrompt) -> ImageTokens:
    """Put the same prompt after every image's tokens."""
    return torch.cat([tokens, _repeat(prompt, tokens)], dim=1)


def write(tokens: ImageTokens, prompt: ImagePrompt) -> ImageTokens:
    """Replace every image's last tokens by the same prompt."""
    return append(tokens[:, : -prompt.shape[0]], prompt)


def _repeat(prompt: Tensor, tokens: Tensor) -> Tensor:
    return prompt.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
