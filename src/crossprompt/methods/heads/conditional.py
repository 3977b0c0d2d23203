"""Frozen CoCoOp: every image has its own prompt, so the classes are encoded for each image."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear, normalize, relu

from crossprompt.clip.model import CLIP
from crossprompt.clip.text_engine import TokenizedTexts
from crossprompt.methods.heads.base import Frozen, check_tensors, length_of
from crossprompt.methods.prompts import encode_prompted_texts
from crossprompt.utils.shapes import ImageFeatures, Images, Logits, TextPrompt
from crossprompt.utils.tensor_file import Headers

MOST_TOKENS = 4096
"""Text tokens per forward pass, or those of one image if it has more."""
PADDING = -1
"""Id after the tokens of the shorter names."""

NameTokens = Int[Tensor, "classes longest"]
"""Ids of every class's text without the prompt, from its start to its end, then padding."""
Down = tuple[Float[Tensor, "hidden embed"], Float[Tensor, " hidden"]]
"""Weight and bias of the layer from the feature to the bottleneck."""
Up = tuple[Float[Tensor, "text_width hidden"], Float[Tensor, " text_width"]]
"""Weight and bias of the layer from the bottleneck to the text tower's width."""


class Conditional(Frozen):
    """A prompt before the class names that a small network shifts by each image's feature.

    It is the one form that runs the text tower, for every image and class.

    Args:
        name_tokens: ``[classes, longest]``, see ``tokens_of``.
        text_prompt: ``[length, text_width]``.
        down: the network's first layer.
        up: its second.

    Raises:
        ValueError: the tokens are not those of texts.
    """

    form = "conditional"
    name_tokens: Tensor
    text_prompt: Tensor
    down_weight: Tensor
    down_bias: Tensor
    up_weight: Tensor
    up_bias: Tensor

    def __init__(
        self,
        name_tokens: NameTokens,
        text_prompt: Float[Tensor, "length text_width"],
        down: Down,
        up: Up,
    ) -> None:
        super().__init__()
        self.names = names_of(name_tokens)
        self.register_buffer("name_tokens", name_tokens.clone())
        self.hold(text_prompt=text_prompt, down_weight=down[0], down_bias=down[1])
        self.hold(up_weight=up[0], up_bias=up[1])

    def forward(self, clip: CLIP, images: Images) -> Logits:
        """Score images, ``MOST_TOKENS`` text tokens at a time."""
        features = clip.encode_images(images)
        if torch.compiler.is_exporting():  # an exported graph has no loop over parts
            return self._score(clip, features)
        tokens = self.text_prompt.shape[0] + len(self.names.shared)
        tokens += sum(len(own) for own in self.names.own)
        some = features.split(max(1, MOST_TOKENS // tokens))
        return torch.cat([self._score(clip, part) for part in some])

    def _score(self, clip: CLIP, features: ImageFeatures) -> Logits:
        down, up = (self.down_weight, self.down_bias), (self.up_weight, self.up_bias)
        return score(clip, self.names, features, shift(self.text_prompt, features, down, up))

    @classmethod
    def check_state(cls, found: Headers, clip: CLIP, classes: int) -> None:
        embed, text = clip.config.embed, clip.config.text
        length, hidden = length_of(found, "text_prompt"), length_of(found, "down_bias")
        tokens = found.get("name_tokens")
        longest = tokens.shape[1] if tokens is not None and tokens.ndim == 2 else 0
        shapes: dict[str, tuple[int, ...]] = {
            "name_tokens": (classes, longest),
            "text_prompt": (length, text.width),
            "down_weight": (hidden, embed),
            "down_bias": (hidden,),
            "up_weight": (text.width, hidden),
            "up_bias": (text.width,),
        }
        check_tensors(found, shapes, whole=("name_tokens",))

    @classmethod
    def rebuild(cls, state: Mapping[str, Tensor], clip: CLIP) -> "Conditional":
        tokens, text = state["name_tokens"], clip.config.text
        if (ids := tokens[tokens >= text.vocabulary]).numel():
            raise ValueError(f"name_tokens holds {ids[0]}, expected ids below {text.vocabulary}")
        layers = [(state[f"{name}_weight"], state[f"{name}_bias"]) for name in ("down", "up")]
        frozen = cls(tokens, state["text_prompt"], *layers)
        frozen.names.check_fits(text.context, state["text_prompt"].shape[0])
        return frozen


def shift(
    prompt: Float[Tensor, "length text_width"], features: ImageFeatures, down: Down, up: Up
) -> TextPrompt:
    """Each image's prompt: all tokens moved alike, by what the network makes of its feature.

    Args:
        prompt: ``[length, text_width]``.
        features: ``[batch, embed]``, not normalized.
        down: the network's first layer.
        up: its second.
    """
    hidden = relu(linear(normalize(features.float(), dim=-1), *down))
    return prompt + linear(hidden, *up)[:, None]


def score(
    clip: CLIP, names: TokenizedTexts, features: ImageFeatures, prompts: TextPrompt
) -> Logits:
    """exp(logit_scale) times the cosine of every image and its own text of every class, in fp32.

    Args:
        clip: the frozen backbone.
        names: the tokens after the prompts.
        features: ``[batch, embed]``, not normalized.
        prompts: ``[batch, length, text_width]``, one for each image.
    """
    texts = normalize(encode_prompted_texts(clip, names, {0: prompts}).float(), dim=-1)
    cosines = texts @ normalize(features.float(), dim=-1)[:, :, None]
    return clip.logit_scale.float().exp() * cosines[:, :, 0]


def tokens_of(names: TokenizedTexts) -> NameTokens:
    """Texts as a tensor, for saving."""
    rows = [torch.tensor([*names.shared, *own]) for own in names.own]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING)


def names_of(tokens: NameTokens) -> TokenizedTexts:
    """The texts of a tensor of ``tokens_of``.

    Raises:
        ValueError: a row is not ids, at least a start and an end, and then padding.
    """
    lengths = (tokens != PADDING).sum(1)
    padded = torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
    if (lengths < 2).any() or ((tokens < 0) != padded).any():
        raise ValueError("name_tokens has a row that is not the ids of a text, then padding")
    if (tokens[:, 0] != tokens[0, 0]).any():
        raise ValueError("name_tokens has rows that start with different ids")
    rows = [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
    labels = tuple(f"class {number}" for number in range(len(rows)))
    return TokenizedTexts((rows[0][0],), tuple(tuple(row[1:]) for row in rows), labels)
