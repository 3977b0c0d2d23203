"""Tables of the keys under which other formats hold CLIP's parameters, read in both directions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from crossprompt.clip.model import CLIPConfig


@dataclass(frozen=True)
class Source:
    """The keys of another format that hold one parameter."""

    keys: tuple[str, ...]
    """Stacked along the first axis."""
    transposed: bool = False
    """True if the other format holds the matrix as ``[in, out]``."""

    def read(self, read_key: Callable[[str], Tensor]) -> Tensor:
        """The parameter, from the tensors that ``read_key`` returns for the keys."""
        tensors = [read_key(key) for key in self.keys]
        tensor = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
        return tensor.T if self.transposed else tensor

    def write(self, parameter: Tensor) -> dict[str, Tensor]:
        """The tensors of the other format."""
        parameter = parameter.T if self.transposed else parameter
        parts = [parameter] if len(self.keys) == 1 else parameter.chunk(len(self.keys))
        return {key: part.contiguous() for key, part in zip(self.keys, parts, strict=True)}

    def shapes(self, shape: torch.Size) -> dict[str, torch.Size]:
        """The shape of every key for a parameter of ``shape``."""
        empty = torch.empty(shape, device="meta")
        return {key: part.shape for key, part in self.write(empty).items()}


Table = Mapping[str, Source]
"""Our name of a parameter to its source; ``{}`` stands for the number of a block."""

# Our names, those of transformers, those of openai/CLIP and open_clip. * is weight and bias,
# and | separates keys that are stacked.
_TOWERS = (
    ("logit_scale", "logit_scale", "logit_scale"),
    (
        "image.class_token",
        "vision_model.embeddings.class_embedding",
        "visual.class_embedding",
    ),
    (
        "image.positions",
        "vision_model.embeddings.position_embedding.weight",
        "visual.positional_embedding",
    ),
    (
        "image.patches.weight",
        "vision_model.embeddings.patch_embedding.weight",
        "visual.conv1.weight",
    ),
    ("image.pre_norm.*", "vision_model.pre_layrnorm.*", "visual.ln_pre.*"),  # their spelling
    ("image.post_norm.*", "vision_model.post_layernorm.*", "visual.ln_post.*"),
    ("image.projection.weight", "visual_projection.weight", "visual.proj"),
    (
        "text.positions",
        "text_model.embeddings.position_embedding.weight",
        "positional_embedding",
    ),
    (
        "text.words.weight",
        "text_model.embeddings.token_embedding.weight",
        "token_embedding.weight",
    ),
    ("text.post_norm.*", "text_model.final_layer_norm.*", "ln_final.*"),
    ("text.projection.weight", "text_projection.weight", "text_projection"),
)
_BLOCKS = (
    ("image.blocks.{}.", "vision_model.encoder.layers.{}.", "visual.transformer.resblocks.{}."),
    ("text.blocks.{}.", "text_model.encoder.layers.{}.", "transformer.resblocks.{}."),
)
_BLOCK = (
    ("norm_1.*", "layer_norm1.*", "ln_1.*"),
    (
        "attention.qkv.*",
        "self_attn.q_proj.*|self_attn.k_proj.*|self_attn.v_proj.*",
        "attn.in_proj_*",
    ),
    ("attention.out.*", "self_attn.out_proj.*", "attn.out_proj.*"),
    ("norm_2.*", "layer_norm2.*", "ln_2.*"),
    ("mlp.0.*", "mlp.fc1.*", "mlp.c_fc.*"),
    ("mlp.2.*", "mlp.fc2.*", "mlp.c_proj.*"),
)
_TRANSPOSED = ("visual.proj", "text_projection")


def _table(column: int) -> dict[str, Source]:
    rows = [(row[0], [row[column]]) for row in _TOWERS]
    for tower in _BLOCKS:
        for row in _BLOCK:
            rows.append(
                (tower[0] + row[0], [tower[column] + key for key in row[column].split("|")])
            )
    table = {}
    for name, keys in rows:
        for part in ("weight", "bias") if name.endswith("*") else ("",):
            stacked = tuple(key.replace("*", part) for key in keys)
            table[name.replace("*", part)] = Source(stacked, stacked[0] in _TRANSPOSED)
    return table


HUGGING_FACE: Table = _table(1)
"""``transformers.CLIPModel``."""
OPENAI: Table = _table(2)
"""openai/CLIP and open_clip."""

IGNORED = frozenset({"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"})
"""Buffers 0, 1, 2, … written by older versions of ``transformers``."""
OPENAI_SIZES = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Keys of OpenAI's archives that hold one whole number each and no weights."""


def sources(table: Table, config: CLIPConfig) -> dict[str, Source]:
    """A source for every parameter of a model: the table with the blocks of ``config`` numbered."""
    numbered: dict[str, Source] = {}
    for name, source in table.items():
        blocks = config.image.blocks if name.startswith("image") else config.text.blocks
        for block in range(blocks if "{}" in name else 1):
            keys = tuple(key.replace("{}", str(block)) for key in source.keys)
            numbered[name.replace("{}", str(block))] = Source(keys, source.transposed)
    return numbered
