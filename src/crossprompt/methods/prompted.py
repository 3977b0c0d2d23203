"""Forward passes of one tower with prompts written before its blocks, independent of the other."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from crossprompt.clip.model import CLIP
from crossprompt.clip.text_engine import TextTokens, TokenizedTexts
from crossprompt.utils.shapes import (
    ClassFeatures,
    ImageFeatures,
    ImagePrompt,
    Images,
    ImageTokens,
    TextFeatures,
    TextPrompt,
)

PromptedTokens = Float[Tensor, "batch prompted_tokens image_width"]
"""Image tokens, then prompt tokens."""
WordPrompt = Float[Tensor, "length text_width"]
"""Prompt tokens of the text tower, the same for all classes."""


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
        prompts: block to the prompt ``[length, image_width]`` that replaces the tokens after the
            patches before that block; at 0 it is appended to them.
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
        texts: the tokens after the prompts.
        prompts: block to the prompts ``[groups, length, text_width]`` that replace the tokens after
            the start-of-text token before that block; at 0, which must be there if any is, they
            are inserted.
    """
    text = clip.text.embed(texts)
    return encode_embedded_texts(clip, text.insert(prompts[0]) if prompts else text, prompts)


def encode_embedded_texts(
    clip: CLIP, text: TextTokens, prompts: Mapping[int, TextPrompt]
) -> TextFeatures:
    """``encode_prompted_texts`` of embedded texts, which contain the prompt of block 0."""
    text = clip.text.enter(text)
    for depth, block in enumerate(clip.text.blocks):
        if depth and depth in prompts:
            text = text.write(prompts[depth])
        text = block(text)
    return clip.text.pool(text)


def encode_classes(
    clip: CLIP, names: TokenizedTexts, prompts: Mapping[int, WordPrompt]
) -> ClassFeatures:
    """Features of class names after prompts that all of them share, not normalized.

    Args:
        clip: the frozen backbone.
        names: the tokenized class names.
        prompts: block to the prompt ``[length, text_width]``, as for ``encode_prompted_texts``.
    """
    groups = {depth: prompt[None] for depth, prompt in prompts.items()}
    return encode_prompted_texts(clip, names, groups)[0]
