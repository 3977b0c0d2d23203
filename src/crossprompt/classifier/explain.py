"""Explains a classifier: relevance maps of images, and the words nearest to its text prompts.

Relevance: attention times gradient, carried through the blocks (Chefer et al., ICCV 2021,
https://arxiv.org/abs/2103.15679, equations 5 and 6). Words: Zhou et al., IJCV 2022,
https://arxiv.org/abs/2109.01134, table 4; they often say little.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
"""One number per patch of an image."""
Relevance = Float[Tensor, "tokens first"]
"""Share of every input token of the tower in every token."""


@dataclass(frozen=True)
class Explanation:
    """A class, its probability from 0 to 1, and the relevance of every patch for it, 0 or more."""

    label: str
    probability: float
    map: Map


@dataclass
class _Record:
    """One pass of a block."""

    tokens: Float[Tensor, "tokens width"]
    attention: Float[Tensor, "*heads queries tokens"]
    result: Float[Tensor, "queries width"] | None = None


def explain(
    classifier: Classifier, image: Float[Tensor, "3 side side"], label: str | None = None
) -> Explanation:
    """Relevance of the patches of an image for a class.

    Args:
        classifier: a classifier in fp32.
        image: the preprocessed image.
        label: the class; the most probable one by default.

    Raises:
        RequestError: the class is unknown, or the classifier is not in fp32.
        JobError: the classifier does not use the image tower's attention.
    """
    clip, names = classifier.clip, classifier.class_names
    require(
        clip.dtype == torch.float32,
        f"the classifier is in {clip.dtype}; load it with dtype='fp32'",
    )
    known = label is None or label in names
    require(known, f"there is no class {label!r}; expected one of {listed(names)}")
    pixels = image[None].to(clip.device).requires_grad_()
    with torch.enable_grad(), _record(clip.image.blocks) as records:
        logits: Tensor = classifier.frozen(clip, pixels)[0]
    if not records:
        raise JobError(f"a {classifier.method.name} classifier does not attend to patches")
    number = int(logits.argmax()) if label is None else names.index(label)
    # gradient of the log-probability: a logit also grows if all classes' do
    gradients = torch.autograd.grad(logits.log_softmax(-1)[number], [x.attention for x in records])
    weighted = [
        (x.attention * gradient)[0].clamp(min=0).mean(0).detach()
        for x, gradient in zip(records, gradients, strict=True)
    ]
    side = clip.config.image.side // clip.config.image.patch
    # some forms pass an image through the tower twice, with prompts and without
    rows = [row[1 : 1 + side * side] for row in _class_token_rows(records, weighted)]
    patches = torch.stack(rows).sum(0).reshape(side, side).cpu()
    return Explanation(names[number], float(logits.detach().softmax(-1)[number]), patches)


def _class_token_rows(
    records: list[_Record], weighted: list[Tensor]
) -> list[Float[Tensor, " first"]]:
    """Relevance of the input tokens for the class token, for every pass of the tower."""
    rows, relevance = list[Tensor](), torch.zeros(0, 0)
    before: _Record | None = None
    for block, attention in zip(records, weighted, strict=True):
        relevance = _carry(relevance, before, block)
        queries = attention.shape[0]
        relevance = relevance[:queries] + attention @ relevance
        before = block
        if queries == 1:  # the last block computes the class token only
            rows.append(relevance[0])
            before = None
    return rows


def _carry(
    relevance: Relevance, before: _Record | None, block: _Record
) -> Float[Tensor, "given given"]:
    """Relevance of the tokens that a block receives; a token that a prompt has replaced starts
    anew."""
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
def _record(blocks: nn.ModuleList) -> Iterator[list[_Record]]:
    """Record the passes of the image tower's blocks without changing them."""
    records: list[_Record] = []
    tokens: list[Tensor] = []  # input of the block that is running, if any

    def enter(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        tokens.append(arguments[0][0].detach())

    def leave(_: nn.Module, __: Any, result: Tensor) -> None:
        tokens.clear()
        records[-1].result = result[0].detach()

    class Attend(TorchFunctionMode):
        """Writes attention out, to record its weights."""

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
            records.append(_Record(tokens[0], scores.softmax(-1)))
            return records[-1].attention @ value

    with ExitStack() as hooks, Attend():
        for block in blocks:
            hooks.callback(block.register_forward_pre_hook(enter).remove)
            hooks.callback(block.register_forward_hook(leave).remove)
        yield records


SIDE = 336
"""Least height and width of a picture, in pixels."""
RED = (220, 30, 20)
STRENGTH = 0.75
"""Opacity of the red at the largest relevance."""
CAPTION = 16
"""Font size, in pixels."""


def overlay(picture: Image.Image, weights: Map, caption: str) -> Image.Image:
    """The picture, and beside it the picture with its relevance in red.

    Args:
        picture: square and RGB, as cropped for the classifier.
        weights: one number per patch, 0 or more; the largest becomes the strongest red.
        caption: text below.
    """
    side = picture.width * -(-SIDE // picture.width)  # a multiple, which keeps pixels sharp
    large = picture.resize((side, side), Image.Resampling.NEAREST)
    shares = weights / weights.max().clamp(min=torch.finfo(weights.dtype).tiny)
    smooth = functional.interpolate(shares[None, None], (side, side), mode="bicubic")
    strength = STRENGTH * smooth[0, 0].clamp(0, 1).numpy()[..., None]
    gray = np.asarray(large.convert("L"), dtype=np.float32)[..., None]
    mixed = (1 - strength) * (0.6 * gray + 90) + strength * np.array(RED)
    sheet = Image.new("RGB", (2 * side + CAPTION, side + 2 * CAPTION), "white")
    sheet.paste(large, (0, 0))
    sheet.paste(Image.fromarray(mixed.astype(np.uint8)), (side + CAPTION, 0))
    font = ImageFont.load_default(CAPTION)
    ImageDraw.Draw(sheet).text((4, side + CAPTION // 3), caption, "black", font)
    return sheet


PromptWords = list[list[tuple[str, float]]]
"""Nearest words of each token of a prompt with their Euclidean distances, nearest first."""


def nearest_words(classifier: Classifier, count: int = 5) -> dict[str, PromptWords]:
    """The vocabulary's words that are nearest to each token of each text prompt.

    Args:
        classifier: of any method; without a text prompt the result is empty.
        count: words per token.

    Returns:
        Name of a prompt to the words of its tokens. Prompts of later blocks are left out: they are
        activations, not word embeddings.
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
    """Name and ``[length, text_width]`` of every prompt among the text tower's input."""
    names = classifier.class_names
    for key, value in classifier.method.state_dict().items():
        if key not in ("text_prompt", "text_prompts", "text_prompts.0"):
            continue
        if value.ndim == 2:
            yield key, value
            continue
        per_class = value.shape[0] == len(names) and key == "text_prompt"
        for number, prompt in enumerate(value):
            yield f"{key} of {names[number]}" if per_class else f"{key} {number + 1}", prompt
