"""The frozen CLIP as two towers of four stages: embed, enter, blocks, pool.

Radford et al., 2021, https://arxiv.org/abs/2103.00020. A method acts *between* the stages: it
inserts prompt tokens before ``enter``, rewrites them before a block, or works on the features after
``pool``.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import nn
from torch.nn import functional

from crossprompt.clip.blocks import Block, ImageBlock, LastImageBlock, LastTextBlock, TextBlock
from crossprompt.clip.preprocess import Preprocess
from crossprompt.clip.text_engine import TextTokens, TokenizedTexts
from crossprompt.clip.tokenizer import Tokenizer
from crossprompt.utils.shapes import (
    ClassFeatures,
    ImageFeatures,
    Images,
    ImageTokens,
    Logits,
    TextFeatures,
)

Size = Annotated[int, Meta(ge=1, le=2**20)]
"""A product of three still fits in torch's 64-bit integers."""


@dataclass(frozen=True, kw_only=True)
class TowerConfig:
    """Sizes that both towers have."""

    width: Size
    """Width of a token."""
    blocks: Size
    """Number of transformer blocks."""
    heads: Size
    """Attention heads of a block."""
    mlp_width: Size
    """Hidden width of a block's MLP."""


@dataclass(frozen=True, kw_only=True)
class ImageConfig(TowerConfig):
    """Sizes of the image tower."""

    side: Size
    """Height and width of the input in pixels."""
    patch: Size
    """Height and width of a patch in pixels."""

    @property
    def patches(self) -> int:
        """Number of patches of an image."""
        return (self.side // self.patch) ** 2


@dataclass(frozen=True, kw_only=True)
class TextConfig(TowerConfig):
    """Sizes of the text tower."""

    vocabulary: Size
    """Number of token ids."""
    context: Size
    """Most tokens in a text, start and end of text included."""


@dataclass(frozen=True)
class CLIPConfig:
    """Sizes of both towers and what they share."""

    image: ImageConfig
    text: TextConfig
    embed: Size
    """Width of the features of both towers."""
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    """Activation of every MLP: ``quick_gelu`` in OpenAI's checkpoints, ``gelu`` in most others."""


def _blocks(
    kind: type[Block], last: type[Block], config: TowerConfig, activation: str
) -> nn.ModuleList:
    kinds = [kind] * (config.blocks - 1) + [last]
    return nn.ModuleList(x(config.width, config.heads, config.mlp_width, activation) for x in kinds)


class ImageTower(nn.Module):
    """Vision transformer with a class token and a norm before the first block."""

    def __init__(self, config: ImageConfig, embed: int, activation: str) -> None:
        super().__init__()
        self.config = config
        self.patches = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        self.class_token = nn.Parameter(torch.empty(config.width))
        self.positions = nn.Parameter(torch.empty(1 + config.patches, config.width))
        self.pre_norm = nn.LayerNorm(config.width)
        self.blocks = _blocks(ImageBlock, LastImageBlock, config, activation)
        self.post_norm = nn.LayerNorm(config.width)
        self.projection = nn.Linear(config.width, embed, bias=False)

    def embed(self, images: Images) -> ImageTokens:
        """Class token and patches, with positions: ``[batch, 1 + patches, width]``."""
        patches = self.patches(images.to(self.patches.weight.dtype)).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(patches.shape[0], 1, -1)
        return torch.cat([class_token, patches], dim=1) + self.positions

    def enter(self, tokens: ImageTokens) -> ImageTokens:
        """The norm before the first block, over patches and any prompt tokens alike."""
        return self.pre_norm(tokens)

    def pool(self, tokens: ImageTokens) -> ImageFeatures:
        """The class token, projected."""
        return self.projection(self.post_norm(tokens[:, 0]))


class TextTower(nn.Module):
    """Causal transformer read at the end-of-text token."""

    def __init__(self, config: TextConfig, embed: int, activation: str) -> None:
        super().__init__()
        self.config = config
        # nn.Embedding would draw values, which takes seconds on load_clip's meta device
        words = torch.empty(config.vocabulary, config.width)
        self.words = nn.Embedding.from_pretrained(words, freeze=False)
        self.positions = nn.Parameter(torch.empty(config.context, config.width))
        self.blocks = _blocks(TextBlock, LastTextBlock, config, activation)
        self.post_norm = nn.LayerNorm(config.width)
        self.projection = nn.Linear(config.width, embed, bias=False)

    def embed(self, texts: TokenizedTexts) -> TextTokens:
        """Word embeddings, without positions."""
        words = self.words(texts.ids(self.words.weight.device))[None]
        return TextTokens(words, len(texts.shared), texts)

    def enter(self, tokens: TextTokens) -> TextTokens:
        """Add the positions; a text that is too long for them is an error that names it."""
        prompt_length = tokens.shared - len(tokens.texts.shared)
        tokens.texts.check_fits(self.config.context, prompt_length)
        return tokens.with_activations(tokens.activations + self.positions[tokens.positions()])

    def pool(self, tokens: TextTokens) -> TextFeatures:
        """The end-of-text tokens in the caller's order, projected."""
        return self.projection(self.post_norm(tokens.ends()))


class CLIP(nn.Module):
    """Both towers and the logit scale. Its parameters never change."""

    name: str
    """The checkpoint as ``load_clip`` finds it again."""
    weights_hash: str
    """SHA-256 of the weights in the checkpoint's dtype."""
    tokenizer: Tokenizer
    preprocess: Preprocess

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.image = ImageTower(config.image, config.embed, config.activation)
        self.text = TextTower(config.text, config.embed, config.activation)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def __repr__(self) -> str:
        image, text = self.config.image, self.config.text
        towers = f"{image.blocks} blocks of {image.width} and {text.blocks} of {text.width}"
        name = getattr(self, "name", "unnamed")
        return f"CLIP({name!r}, {towers}, {self.device}, {self.dtype})"

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype in which the towers compute."""
        return self.image.projection.weight.dtype

    def encode_images(self, images: Images) -> ImageFeatures:
        """Features of unprompted images, not normalized."""
        tokens = self.image.enter(self.image.embed(images))
        for block in self.image.blocks:
            tokens = block(tokens)
        return self.image.pool(tokens)

    def encode_texts(self, texts: TokenizedTexts) -> TextFeatures:
        """Features of unprompted texts, not normalized: ``[1, texts, embed]``."""
        tokens = self.text.enter(self.text.embed(texts))
        for block in self.text.blocks:
            tokens = block(tokens)
        return self.text.pool(tokens)

    def logits(self, image: ImageFeatures, classes: ClassFeatures) -> Logits:
        """exp(logit_scale) times the cosine of every image and class, in fp32."""
        image, classes = (functional.normalize(x.float(), dim=-1) for x in (image, classes))
        return self.logit_scale.float().exp() * image @ classes.T


def initialize(clip: CLIP, generator: torch.Generator) -> CLIP:
    """Draw every weight, for training from scratch and tests.

    Source: openai/CLIP, clip/model.py:299, whose rule for the text tower's blocks is used in both
    towers; parameters that it leaves to PyTorch, and the positions, have a deviation of
    width ** -0.5.
    """
    with torch.no_grad():
        for tower in (clip.image, clip.text):
            width, blocks = tower.config.width, tower.config.blocks
            deviations = {
                "attention.out.weight": width**-0.5 * (2 * blocks) ** -0.5,
                "mlp.2.weight": width**-0.5 * (2 * blocks) ** -0.5,
                "mlp.0.weight": (2 * width) ** -0.5,
                "words.weight": 0.02,
            }
            for name, parameter in tower.named_parameters():
                if "norm" in name or name.endswith("bias"):
                    parameter.fill_(1.0 if name.endswith("weight") else 0.0)
                    continue
                found = [value for ending, value in deviations.items() if name.endswith(ending)]
                parameter.normal_(0, *(found or [width**-0.5]), generator=generator)
        clip.logit_scale.fill_(torch.tensor(1 / 0.07).log())
    return clip
