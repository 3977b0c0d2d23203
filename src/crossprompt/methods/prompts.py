"""Prompt tokens: settings and their checks, initial values, and forward passes with prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossprompt.clip.model import CLIP
from crossprompt.clip.text_engine import TextTokens, TokenizedTexts
from crossprompt.errors import RequestError
from crossprompt.utils.config import Settings, require
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
DEVIATION = 0.02
"""Standard deviation of random prompts."""
WORDS_AT_MOST = 4
"""Length of the longest deep prompt that may start from words; longer ones start at random, as
published."""


@dataclass(frozen=True)
class DeepConfig(Settings):
    """Settings of a prompt before each of the first blocks of both towers."""

    length: int = 4
    """Prompt tokens in each tower."""
    depth: int = 9
    """Number of blocks, counted from the first, that have their own prompt in each tower."""
    initial_words: str = "a photo of a"
    """Words whose first tokens, as many as the length, the first text prompt starts from; an
    empty text lets it start at random, as all others do."""


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


def draw(*shape: int) -> nn.Parameter:
    """Prompt tokens of a shape, drawn from N(0, 0.02^2)."""
    return nn.Parameter(DEVIATION * torch.randn(*shape))


def from_words(clip: CLIP, words: str, length: int) -> nn.Parameter:
    """The embeddings of the first ``length`` tokens of ``words``: ``[length, text_width]``.

    Raises:
        RequestError: the words have fewer tokens.
    """
    ids = clip.tokenizer.encode(words)
    if len(ids) < length:
        raise RequestError(
            f"initial_words {words!r} are {len(ids)} tokens but the prompt has length {length}; "
            "give more words, a smaller length, or no words for a random start"
        )
    index = torch.tensor(ids[:length], device=clip.device)
    return nn.Parameter(clip.text.words.weight[index].detach().float().clone())


def from_words_or_draw(clip: CLIP, words: str | None, length: int) -> nn.Parameter:
    """``from_words``, or a random prompt if the words are empty."""
    width = clip.config.text.width
    return from_words(clip, words, length) if words else draw(length, width)


def ending_in_words(clip: CLIP, words: str, length: int) -> nn.Parameter:
    """Zeros, then the embeddings of all tokens of ``words``: ``[length, text_width]``.

    Raises:
        RequestError: the words have more tokens than ``length``.
    """
    count = len(clip.tokenizer.encode(words))
    if count > length:
        raise RequestError(
            f"initial_words {words!r} are {count} tokens but the prompt has length {length}; give "
            "fewer words, a greater length, or no words for a random start"
        )
    ending = from_words(clip, words, count).detach()
    return nn.Parameter(torch.cat([ending.new_zeros(length - count, ending.shape[1]), ending]))


def deep(first: nn.Parameter, depth: int) -> nn.ParameterList:
    """A prompt for each of the first ``depth`` blocks: ``first``, then random ones of its shape."""
    return nn.ParameterList([first, *(draw(*first.shape) for _ in range(1, depth))])


def tokenize_names(clip: CLIP, class_names: Sequence[str], length: int) -> TokenizedTexts:
    """The tokens of the class names; ``RequestError`` if one is too long after so many tokens."""
    names = clip.tokenizer.tokenize_names(class_names)
    names.check_fits(clip.config.text.context, length)
    return names


def limit_depth(owner: str, clip: CLIP, depth: int, default: int) -> int:
    """The number of prompted blocks: the depth, or all blocks if the default depth exceeds them.

    Args:
        owner: the method, for errors.
        clip: the backbone; the tower with fewer blocks counts.
        depth: the setting.
        default: its default.

    Raises:
        RequestError: a depth other than the default exceeds the blocks.
    """
    blocks = min(clip.config.image.blocks, clip.config.text.blocks)
    require(
        depth <= blocks or depth == default,
        f"{owner}: depth is {depth} but this backbone has {blocks} blocks, so part of it would be "
        "ignored; choose a smaller one",
    )
    return min(depth, blocks)


def check_at_least(owner: str, config: Settings, **smallest: int) -> None:
    """Raise ``RequestError`` if a setting is below its smallest value; None passes.

    Args:
        owner: the method, for errors.
        config: its settings.
        smallest: name of a setting to its smallest value.
    """
    for name, limit in smallest.items():
        value = getattr(config, name)
        fine = value is None or value >= limit
        require(fine, f"{owner}: {name} is {value}, expected {limit} or more")


def check_words(owner: str, words: str | None, length: int) -> None:
    """Raise ``RequestError`` if a prompt is too long to start from the given words."""
    require(
        words is None or length <= WORDS_AT_MOST,
        f"{owner}: initial_words is set but length is {length}; only a prompt of at most "
        f"{WORDS_AT_MOST} tokens can start from words, so the setting would be ignored",
    )
