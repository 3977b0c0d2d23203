"""Prompt tokens: where they start from."""

import torch
from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.utils.config import require

DEVIATION = 0.02
"""Standard deviation that random prompts are drawn with."""

WORDS_AT_MOST = 4
"""The longest deep prompt that may start from words: longer ones start at random, as published."""


def random_prompt(*shape: int) -> nn.Parameter:
    """Prompt tokens of a shape, drawn from N(0, 0.02^2)."""
    return nn.Parameter(DEVIATION * torch.randn(*shape))


def prompt_from_words(clip: CLIP, words: str, length: int) -> nn.Parameter:
    """The embeddings of the first ``length`` tokens of ``words``: ``[length, text_width]``.

    Args:
        clip: for its tokenizer and embeddings.
        words: any text.
        length: tokens of the prompt.

    Raises:
        RequestError: the words have fewer tokens than ``length``.
    """
    ids = clip.tokenizer.encode(words)
    if len(ids) < length:
        raise RequestError(
            f"initial_words {words!r} are {len(ids)} tokens but the prompt has length {length}; "
            "give more words, a smaller length, or no words for a random start"
        )
    index = torch.tensor(ids[:length], device=clip.device)
    return nn.Parameter(clip.text.words.weight[index].detach().float().clone())


def first_text_prompt(clip: CLIP, words: str, length: int) -> nn.Parameter:
    """``prompt_from_words``, or a random prompt where the words are an empty text."""
    width = clip.config.text.width
    return prompt_from_words(clip, words, length) if words else random_prompt(length, width)


def prompt_ending_in_words(clip: CLIP, words: str, length: int) -> nn.Parameter:
    """Zeros, then the embeddings of all tokens of ``words``: ``[length, text_width]``.

    Args:
        clip: for its tokenizer and embeddings.
        words: any text.
        length: tokens of the prompt.

    Raises:
        RequestError: the words have more tokens than ``length``.
    """
    count = len(clip.tokenizer.encode(words))
    if count > length:
        raise RequestError(
            f"initial_words {words!r} are {count} tokens but the prompt has length {length}; give "
            "fewer words, a greater length, or no words for a random start"
        )
    ending = prompt_from_words(clip, words, count).detach()
    return nn.Parameter(torch.cat([ending.new_zeros(length - count, ending.shape[1]), ending]))


def deep_prompts(first: nn.Parameter, depth: int) -> nn.ParameterList:
    """A prompt for each of the first blocks, all of one shape.

    Args:
        first: what enters before block 0.
        depth: how many; those of the later blocks are random.
    """
    return nn.ParameterList([first, *(random_prompt(*first.shape) for _ in range(1, depth))])


def depth_within(owner: str, depth: int, default: int, blocks: int) -> int:
    """How many blocks are prompted: the depth, or all of a backbone that has fewer by default.

    Args:
        owner: whose setting the depth is.
        depth: as the user has it.
        default: the depth where none was chosen.
        blocks: of the towers, the fewer of both.

    Raises:
        RequestError: a depth that was chosen goes beyond the blocks.
    """
    require(
        depth <= blocks or depth == default,
        f"{owner}: depth is {depth} but this backbone has {blocks} blocks, so part of it would be "
        "ignored; choose a smaller one",
    )
    return min(depth, blocks)


def check_words(owner: str, words: str | None, length: int) -> None:
    """Raise ``RequestError`` where words are given for a prompt that is too long to take them.

    Args:
        owner: whose setting they are.
        words: what the prompt is to start from, if anything.
        length: tokens of the prompt.
    """
    require(
        words is None or length <= WORDS_AT_MOST,
        f"{owner}: initial_words is set but length is {length}; only a prompt of at most "
        f"{WORDS_AT_MOST} tokens can start from words, so the setting would be ignored",
    )
