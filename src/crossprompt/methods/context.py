"""Class texts with one learned prompt in front of every class name."""

from torch import nn

from crossprompt.clip.model import CLIP
from crossprompt.clip.text_tokens import TextTokens, TokenizedTexts
from crossprompt.shapes import ClassFeatures


def encode_prompted(clip: CLIP, names: TokenizedTexts, prompt: nn.Parameter) -> ClassFeatures:
    """The classes with a prompt ``[length, text_width]`` that they share, not normalised."""
    return read(clip, clip.text.embed(names).insert(prompt[None]))


def read(clip: CLIP, text: TextTokens) -> ClassFeatures:
    """The text tower from words with their prompt to one feature per class."""
    text = clip.text.enter(text)
    for block in clip.text.blocks:
        text = block(text)
    return clip.text.pool(text)[0]
