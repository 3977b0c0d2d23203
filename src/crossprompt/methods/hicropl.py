"""HiCroPL: text prompts of the early blocks rewrite image prompts; later ones, the other way round.

Zheng et al., ICCV 2025, https://arxiv.org/abs/2507.14976. Every block's prompt is summarized in a
proxy, and the other tower's prompts attend to the proxies of all blocks. Deviations from the
authors' public code:

* The rewritten prompts are a function of the parameters. The authors copy them into ``.data`` on
  every forward pass, which cuts the gradient, so that 99 % of their trained parameters never move,
  and makes the prompts drift, in evaluation too: a prediction depends on how many came before.
  Their proxies share one memory, as do their image prompts; here each has its own.
* The descriptions of the classes are the user's file (``--descriptions``); without one the frozen
  text features are those of the data set's template.
* Where the backbone has fewer blocks than 12, all have prompts, and half of them are written from
  the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from crossprompt.clip.blocks import QuickGELU
from crossprompt.clip.model import CLIP
from crossprompt.methods import prompts
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.features import Examples
from crossprompt.methods.heads import Blended, Frozen, StaticPrompts
from crossprompt.methods.heads.blended import blend
from crossprompt.methods.prompts import encode_prompted_images, encode_prompted_texts
from crossprompt.methods.templates import PHOTO, ClassTexts, Descriptions, check_templates
from crossprompt.utils.config import require
from crossprompt.utils.shapes import (
    ClassFeatures,
    ImageFeatures,
    ImagePrompt,
    Images,
    Labels,
    Logits,
    Scalar,
    TextPrompt,
)

Prompt = Float[Tensor, "length width"]
Prompts = Float[Tensor, "blocks length width"]
OtherPrompts = Float[Tensor, "blocks length other_width"]
Tokens = Float[Tensor, "tokens width"]
Proxies = Float[Tensor, "blocks other_width"]
Proxy = Float[Tensor, "1 width"]

HEADS = 8
"""Heads of every attention, whatever the width."""


class ProxySummary(nn.Module):
    """Summarizes a block's prompt in one token (the paper's layer-specific knowledge proxy)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proxy = nn.Parameter(torch.randn(1, width))
        self.norm_1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS)
        self.norm_2 = nn.LayerNorm(width)

    def forward(self, prompt: Prompt) -> Proxy:
        """The proxy after attention to the prompt's tokens."""
        query, key = self.norm_1(self.proxy), self.norm_1(prompt)
        answer, _ = self.attention(query, key, key, need_weights=False)
        return self.norm_2(self.proxy + answer)


class Mapper(nn.Module):
    """Rewrites tokens of one tower by attention to proxies of the other."""

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
        """The new tokens; each attends to all proxies."""
        query, key, value = self.query(tokens), self.key(proxies), self.value(proxies)
        normed = self.norm_1(query), self.norm_1(key), self.norm_1(value)
        x: Tokens = query + self.attention(*normed, need_weights=False)[0]
        x = x + self.mlp(self.norm_2(x))
        return x


class Crossing(nn.Module):
    """Rewrites the prompts of some blocks of a tower of ``width`` by those of the other tower."""

    def __init__(self, width: int, other_width: int, blocks: int) -> None:
        super().__init__()
        self.summaries = nn.ModuleList(ProxySummary(other_width) for _ in range(blocks))
        self.mapper = Mapper(width, other_width)

    def forward(self, own: Prompts, other: OtherPrompts) -> Prompts:
        """New prompts, as functions of both towers' prompts."""
        proxies = [summary(prompt) for summary, prompt in zip(self.summaries, other, strict=True)]
        tokens = self.mapper(own.flatten(0, 1), torch.cat(proxies))
        return tokens.unflatten(0, own.shape[:2])


class HiCroPL(Method):
    """Hierarchical cross-modal prompts, and features blended with those of frozen CLIP."""

    name = "hicropl"
    summary = "deep prompts, early ones written from the text, later ones from the image"
    paper = "Zheng et al., ICCV 2025, arXiv 2507.14976"
    fidelity = "repaired"
    difference = (
        "rewritten prompts are functions of the parameters; the authors' code cuts the gradient, "
        "so that 99 % of them never move, and lets prompts drift"
    )

    @dataclass(frozen=True)
    class Config(Method.Config):
        length: int = 16
        """Prompt tokens on each side."""
        depth: int = 12
        """Number of blocks, counted from block 0, that have prompts."""
        turn: int | None = None
        """First block whose text prompt is written from the image's; before it, image prompts are
        written from the text's. By default half the depth."""
        weight: float = 12.0
        """Weight of the distance of features from those of frozen CLIP."""
        descriptions: str | None = None
        """JSON file that describes each class in sentences, {"class name": ["a sentence"]}, in
        place of the template."""
        template: tuple[str, ...] = PHOTO
        """Without descriptions: one or more sentences with {} in place of the class name."""
        initial_words: str | None = None
        """Words whose first tokens, as many as the length, the text prompt of block 0 starts from;
        only for a length of at most 4. By default it starts at random."""

        def __post_init__(self) -> None:
            prompts.check_at_least("hicropl", self, length=1, depth=2, weight=0)
            depth, turn = self.depth, self.turn
            fine = turn is None or 0 < turn < depth
            require(fine, f"hicropl: turn is {turn}, expected 1 to {depth - 1}, below the depth")
            check_templates(self.template, "hicropl")
            prompts.check_words("hicropl", self.initial_words, self.length)

    def __init__(self, clip: CLIP, class_names: Sequence[str], config: Config) -> None:
        super().__init__(clip, class_names, config)
        self.config: HiCroPL.Config = config
        self.depth = prompts.limit_depth("hicropl", clip, config.depth, type(config).depth)
        self.turn = self.depth // 2 if config.turn is None else config.turn
        require(
            0 < self.turn < self.depth,
            f"hicropl: the direction turns at block {self.turn} of {self.depth}, but there must be "
            "blocks before and after it; choose another turn, or a backbone with more blocks",
        )
        image, text, length = clip.config.image.width, clip.config.text.width, config.length
        require(
            image % HEADS == text % HEADS == 0,
            f"hicropl attends in {HEADS} heads, but this backbone has towers of widths {image} and "
            f"{text}; use one whose widths are multiples of {HEADS}",
        )
        self.names = prompts.tokenize_names(clip, class_names, length)
        self.texts = (
            ClassTexts(clip, class_names, config.template)
            if config.descriptions is None
            else Descriptions(clip, class_names, Path(config.descriptions))
        )
        self.text_prompts = prompts.draw(self.depth, length, text)
        self.image_prompts = prompts.draw(self.depth, length, image)
        if config.initial_words is not None:
            words = prompts.from_words(clip, config.initial_words, length)
            self.text_prompts.data[0] = words.detach()
        self.to_image = Crossing(image, text, self.turn)
        self.to_text = Crossing(text, image, self.depth - self.turn)

    @classmethod
    def recipe(cls, shots: int) -> Recipe:
        """Adam as published."""
        return Recipe(epochs=50, batch_size=32, lr=2.5e-3, optimizer="adam", eps=1e-3)

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images; the image tower runs twice, with the prompts and without."""
        image, classes, _ = self._features(clip, images)
        return clip.logits(image, classes)

    def loss(self, clip: CLIP, images: Images, labels: Labels) -> Scalar:
        """Cross-entropy, and the mean distances of both features from frozen CLIP's."""
        image, classes, known_image = self._features(clip, images)
        distance = 1 - cosine_similarity(classes, self.texts.features(clip)).mean()
        distance = distance + 1 - cosine_similarity(image, known_image.float()).mean()
        return cross_entropy(clip.logits(image, classes), labels) + self.config.weight * distance

    def freeze(self, clip: CLIP, examples: Examples) -> Frozen:
        """Keep the rewritten image prompts and the blended class features."""
        image_prompts, text_prompts = self.prompts()
        classes = self._encode_classes(clip, text_prompts)
        return Blended(StaticPrompts.of(clip, classes, image_prompts))

    def prompts(self) -> tuple[dict[int, ImagePrompt], dict[int, TextPrompt]]:
        """The prompts before each block of the image and of the text tower."""
        early, late = slice(self.turn), slice(self.turn, None)
        own_image, own_text = self.image_prompts, self.text_prompts
        image = [self.to_image(own_image[early], own_text[early]), own_image[late]]
        text = [own_text[early], self.to_text(own_text[late], own_image[late])]
        return dict(enumerate(torch.cat(image))), dict(enumerate(torch.cat(text)[:, None]))

    def _features(
        self, clip: CLIP, images: Images
    ) -> tuple[ImageFeatures, ClassFeatures, ImageFeatures]:
        """Blended image and class features, and frozen CLIP's image features."""
        image_prompts, text_prompts = self.prompts()
        with torch.no_grad():
            known_image = clip.encode_images(images)
        image = blend(encode_prompted_images(clip, images, image_prompts), known_image)
        return image, self._encode_classes(clip, text_prompts), known_image

    def _encode_classes(self, clip: CLIP, prompts: dict[int, TextPrompt]) -> ClassFeatures:
        prompted = encode_prompted_texts(clip, self.names, prompts)[0]
        return blend(prompted, self.texts.features(clip))
