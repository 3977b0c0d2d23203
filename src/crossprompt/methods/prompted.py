"""A tower with prompts written before its blocks, where the two towers have nothing to say to one
another: what every method of that kind and its frozen form share."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.clip.text_engine import TextTokens, TokenizedTexts
from crossprompt.utils.shapes import (
    ImageFeatures,
    ImagePrompt,
    Images,
    ImageTokens,
    TextFeatures,
    TextPrompt,
)

PromptedTokens = Float[Tensor, "batch prompted_tokens image_width"]
"""States of the image tower with prompt tokens after those that were there."""


def append(tokens: ImageTokens, prompt: ImagePrompt) -> PromptedTokens:
    """Put the same prompt ``[length, image_width]`` after every image's tokens."""
    rows = prompt.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
    return torch.cat([tokens, rows], dim=1)


def write(tokens: ImageTokens, prompt: ImagePrompt) -> ImageTokens:
    """Replace every image's last tokens by the same prompt ``[length, image_width]``."""
    return append(tokens[:, : -prompt.shape[0]], prompt)


def encode_prompted_images(
    clip: CLIP, images: Images, prompts: Mapping[int, ImagePrompt]
) -> ImageFeatures:
    """Image features, not normalized.

    Args:
        clip: the frozen backbone.
        images: ``[batch, 3, side, side]``.
        prompts: block to the prompt ``[length, image_width]`` that stands after the patches when
            that block begins, in place of what stood there; at 0 it enters with them.
    """
    tokens = clip.image.embed(images)
    own = tokens.shape[1]
    if 0 in prompts:
        tokens = append(tokens, prompts[0])
    tokens = clip.image.enter(tokens)
    for depth, block in enumerate(clip.image.blocks):
        if depth and depth in prompts:
            tokens = append(tokens[:, :own], prompts[depth])
        tokens = block(tokens)
    return clip.image.pool(tokens)


def encode_prompted_texts(
    clip: CLIP, texts: TokenizedTexts, prompts: Mapping[int, TextPrompt]
) -> TextFeatures:
    """Text features of every group, ``[groups, texts, embed]``, not normalized.

    Args:
        clip: the frozen backbone.
        texts: what stands after the prompts.
        prompts: block to the prompts ``[groups, length, text_width]`` that stand after the
            start-of-text token when that block begins, in place of what stood there; at 0 they
            enter with the words, and there must be one if there is any.
    """
    text = clip.text.embed(texts)
    return encode_embedded_texts(clip, text.insert(prompts[0]) if prompts else text, prompts)


def encode_embedded_texts(
    clip: CLIP, text: TextTokens, prompts: Mapping[int, TextPrompt]
) -> TextFeatures:
    """The text tower from words to features, ``[groups, texts, embed]``.

    Args:
        clip: the frozen backbone.
        text: embedded, with the prompt of block 0 among the words.
        prompts: as for ``encode_prompted_texts``; that of block 0 is not looked at.
    """
    text = clip.text.enter(text)
    for depth, block in enumerate(clip.text.blocks):
        if depth and depth in prompts:
            text = text.write(prompts[depth])
        text = block(text)
    return clip.text.pool(text)
