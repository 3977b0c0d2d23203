"""The words that learned text prompts are near to (Zhou et al., IJCV 2022,
https://arxiv.org/abs/2109.01134, table 4): what can be said of them, which is often little."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from crossprompt.classifier.classifier import Classifier
from crossprompt.errors import JobError
from crossprompt.utils.config import require
from crossprompt.utils.text import listed

Map = Float[Tensor, "rows columns"]
"""One number for each patch of an image."""
Relevance = Float[Tensor, "tokens first"]
"""How much each token has of what each token was at first."""


@dataclass(frozen=True)
class Explanation:
    """Why an image is in a class."""

    label: str
    """The class."""
    probability: float
    """Of that class, 0 to 1."""
    map: Map
    """How much each patch spoke for it, 0 or more."""


@dataclass
class _Seen:
    """What a block did."""

    tokens: Float[Tensor, "tokens width"]
    """Before it."""
    attention: Float[Tensor, "*heads asking tokens"]
    """How much each asking token looked at each token."""
    result: Float[Tensor, "asking width"] | None = None
    """After it."""


def explain(
    classifier: Classifier, image: Float[Tensor, "3 side side"], label: str | None = None
) -> Explanation:
    """Where an image speaks for a class.

    Args:
        classifier: opened in fp32.
        image: preprocessed.
        label: the class; the most probable one by default.

    Raises:
        RequestError: there is no such class, or the classifier was not opened in fp32.
        JobError: its form does not look at images by attention.
    """
    clip, names = classifier.clip, classifier.class_names
    require(
        clip.dtype == torch.float32,
        f"found a classifier in {clip.dtype}; open it with dtype='fp32'",
    )
    known = label is None or label in names
    require(known, f"there is no class {label!r}; expected one of {listed(names)}")
    pixels = image[None].to(clip.device).requires_grad_()
    with torch.enable_grad(), _watch(clip.image.blocks) as seen:
        logits: Tensor = classifier.frozen(clip, pixels)[0]
    if not seen:
        raise JobError(f"a {classifier.method.name} classifier does not attend to patches")
    number = int(logits.argmax()) if label is None else names.index(label)
    # what raises all classes alike chooses none: the share's logarithm, not the logit
    gradients = torch.autograd.grad(logits.log_softmax(-1)[number], [x.attention for x in seen])
    weighted = [
        (x.attention * gradient)[0].clamp(min=0).mean(0).detach()
        for x, gradient in zip(seen, gradients, strict=True)
    ]
    side = clip.config.image.side // clip.config.image.patch
    # a form may pass an image through the tower twice, with prompts and without
    rows = [row[1 : 1 + side * side] for row in _follow(seen, weighted)]
    patches = torch.stack(rows).sum(0)
    return Explanation(
        names[number], float(logits.detach().softmax(-1)[number]), patches.reshape(side, side).cpu()
    )


def _follow(seen: list[_Seen], weighted: list[Tensor]) -> list[Float[Tensor, " first"]]:
    """What the class token has of each token after the last block, for every pass of the tower."""
    rows, relevance = list[Tensor](), torch.zeros(0, 0)
    before: _Seen | None = None
    for block, attention in zip(seen, weighted, strict=True):
        relevance = _carry(relevance, before, block)
        asking = attention.shape[0]
        relevance = relevance[:asking] + attention @ relevance
        before = block
        if asking == 1:  # the last block asks for the class token only
            rows.append(relevance[0])
            before = None
    return rows


def _carry(
    relevance: Relevance, before: _Seen | None, block: _Seen
) -> Float[Tensor, "given given"]:
    """Relevance of the tokens that a block gets: one that a prompt was written over knows nothing
    of what stood there."""
    carried = torch.eye(block.tokens.shape[0], device=block.tokens.device)
    if before is None or before.result is None:
        return carried
    count = min(before.result.shape[0], block.tokens.shape[0])
    same = (before.result[:count] == block.tokens[:count]).all(-1)
    carried[:count][same] = 0
    width = min(relevance.shape[1], carried.shape[1])
    carried[:count, :width][same] = relevance[:count, :width][same]
    return carried


@contextmanager
def _watch(blocks: nn.ModuleList) -> Iterator[list[_Seen]]:
    """Write down what the image tower's blocks do, without any change to them."""
    seen: list[_Seen] = []
    tokens: list[Tensor] = []  # those of the block that is at work, if one is

    def enter(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        tokens.append(arguments[0][0].detach())

    def leave(_: nn.Module, __: Any, result: Tensor) -> None:
        tokens.clear()
        seen[-1].result = result[0].detach()

    class Attend(TorchFunctionMode):
        """Attention written out, so that its weights are there to be seen."""

        def __torch_function__(
            self,
            function: Callable[..., Any],
            types: Any,
            arguments: tuple[Any, ...] = (),
            options: Mapping[str, Any] | None = None,
        ) -> Any:
            if function is not functional.scaled_dot_product_attention or not tokens:
                return function(*arguments, **(options or {}))
            query, key, value = arguments
            scores = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
            seen.append(_Seen(tokens[0], scores.softmax(-1)))
            return seen[-1].attention @ value

    hooks = [
        hook
        for block in blocks
        for hook in (block.register_forward_pre_hook(enter), block.register_forward_hook(leave))
    ]
    try:
        with Attend():
            yield seen
    finally:
        for hook in hooks:
            hook.remove()


SIDE = 336
"""Least height and width of a shown picture, in pixels."""
RED = (220, 30, 20)
STRENGTH = 0.75
"""Of the red where it is strongest."""
CAPTION = 16
"""Height of the letters, in pixels."""


def overlay(picture: Image.Image, weights: Map, caption: str) -> Image.Image:
    """What a classifier saw, and beside it where it looked.

    Args:
        picture: square and RGB, as it was cropped for the classifier.
        weights: one number for each patch, 0 or more; the largest is shown as full red.
        caption: below both.
    """
    side = picture.width * -(-SIDE // picture.width)  # whole pixels, so that small ones stay sharp
    seen = picture.resize((side, side), Image.Resampling.NEAREST)
    strength = STRENGTH * _enlarged(weights, side)[..., None]
    gray = np.asarray(seen.convert("L"), dtype=np.float32)[..., None]
    mixed = (1 - strength) * (0.6 * gray + 90) + strength * np.array(RED)
    looked = Image.fromarray(mixed.astype(np.uint8))
    sheet = Image.new("RGB", (2 * side + CAPTION, side + 2 * CAPTION), "white")
    sheet.paste(seen, (0, 0))
    sheet.paste(looked, (side + CAPTION, 0))
    font = ImageFont.load_default(CAPTION)
    ImageDraw.Draw(sheet).text((4, side + CAPTION // 3), caption, "black", font)
    return sheet


def _enlarged(weights: Map, side: int) -> np.ndarray:
    """Between 0 and 1, smooth from patch to patch: ``[side, side]``."""
    largest = weights.max()
    shares = weights / largest if largest > 0 else weights
    size = (side, side)
    smooth = torch.nn.functional.interpolate(shares[None, None], size, mode="bicubic")
    return smooth[0, 0].clamp(0, 1).numpy()


PromptWords = list[list[tuple[str, float]]]
"""For each token of a prompt, the nearest words with their Euclidean distances, nearest first."""


def nearest_words(classifier: Classifier, count: int = 5) -> dict[str, PromptWords]:
    """The words of the vocabulary that each token of each text prompt is nearest to.

    Args:
        classifier: of any method; one that learns no text prompt has none.
        count: words for each token.

    Returns:
        Name of a prompt to its tokens' words. Prompts of later blocks are left out: they stand
        among states, not among words.
    """
    words = classifier.clip.text.words.weight.detach().float()
    found = {}
    for name, prompt in _prompts(classifier):
        distances = torch.cdist(
            prompt.float().to(words.device), words, compute_mode="donot_use_mm_for_euclid_dist"
        )
        nearest = distances.topk(min(count, words.shape[0]), largest=False)
        found[name] = [
            [(classifier.clip.tokenizer.word(id), value) for id, value in zip(*row, strict=True)]
            for row in zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)
        ]
    return found


def _prompts(classifier: Classifier) -> Iterator[tuple[str, Tensor]]:
    """Name and ``[length, text_width]`` of every prompt that enters the text tower with words."""
    for key, value in classifier.method.state_dict().items():
        if key not in ("text_prompt", "text_prompts", "text_prompts.0"):
            continue
        if value.ndim == 2:
            yield key, value
            continue
        names = classifier.class_names
        own = value.shape[0] == len(names) and key == "text_prompt"  # a prompt for every class
        for number, prompt in enumerate(value):
            yield f"{key} of {names[number]}" if own else f"{key} {number + 1}", prompt
