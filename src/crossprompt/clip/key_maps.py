"""What other formats call the parameters of ``CLIP``: a table per format, read in both directions.

A table maps each of our names to the keys that hold it. Several keys are stacked along the first
axis, and a transposed key is stored as ``[in, out]``. ``{}`` stands for the number of a block.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from crossprompt.clip.model import CLIPConfig


@dataclass(frozen=True)
class Source:
    """Where a parameter comes from."""

    keys: tuple[str, ...]
    """Keys of the other format, stacked along the first axis."""
    transposed: bool = False
    """Whether the other format holds the matrix as ``[in, out]``."""

    def read(self, read_key: Callable[[str], Tensor]) -> Tensor:
        """The parameter, in our layout, from what ``read_key`` gives for a key."""
        tensors = [read_key(key) for key in self.keys]
        tensor = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
        return tensor.T if self.transposed else tensor

    def write(self, parameter: Tensor) -> dict[str, Tensor]:
        """The parameter, in the other format's layout."""
        parameter = parameter.T if self.transposed else parameter
        parts = [parameter] if len(self.keys) == 1 else parameter.chunk(len(self.keys))
        return {key: part.contiguous() for key, part in zip(self.keys, parts, strict=True)}

    def shapes(self, shape: torch.Size) -> dict[str, torch.Size]:
        """The shape each key has where our parameter has ``shape``."""
        empty = torch.empty(shape, device="meta")
        return {key: part.shape for key, part in self.write(empty).items()}


Table = Mapping[str, Source]


def _pairs(names: Mapping[str, tuple[str, ...]]) -> dict[str, Source]:
    """Weight and bias of modules."""
    return {
        f"{ours}.{part}": Source(tuple(f"{theirs}.{part}" for theirs in modules))
        for ours, modules in names.items()
        for part in ("weight", "bias")
    }


def _blocks(ours: str, theirs: str, block: Table) -> dict[str, Source]:
    """A block's table, for the blocks of one tower."""
    return {
        f"{ours}.blocks.{{}}.{name}": Source(tuple(f"{theirs}.{{}}.{key}" for key in source.keys))
        for name, source in block.items()
    }


_HUGGING_FACE_BLOCK = _pairs(
    {
        "norm_1": ("layer_norm1",),
        "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention.out": ("self_attn.out_proj",),
        "norm_2": ("layer_norm2",),
        "mlp.0": ("mlp.fc1",),
        "mlp.2": ("mlp.fc2",),
    }
)

HUGGING_FACE: Table = {
    "logit_scale": Source(("logit_scale",)),
    "image.class_token": Source(("vision_model.embeddings.class_embedding",)),
    "image.positions": Source(("vision_model.embeddings.position_embedding.weight",)),
    "image.patches.weight": Source(("vision_model.embeddings.patch_embedding.weight",)),
    **_pairs({"image.pre_norm": ("vision_model.pre_layrnorm",)}),  # their spelling
    **_blocks("image", "vision_model.encoder.layers", _HUGGING_FACE_BLOCK),
    **_pairs({"image.post_norm": ("vision_model.post_layernorm",)}),
    "image.projection.weight": Source(("visual_projection.weight",)),
    "text.positions": Source(("text_model.embeddings.position_embedding.weight",)),
    "text.words.weight": Source(("text_model.embeddings.token_embedding.weight",)),
    **_blocks("text", "text_model.encoder.layers", _HUGGING_FACE_BLOCK),
    **_pairs({"text.post_norm": ("text_model.final_layer_norm",)}),
    "text.projection.weight": Source(("text_projection.weight",)),
}
"""``transformers.CLIPModel``."""

HUGGING_FACE_BUFFERS = frozenset(
    {"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"}
)
"""Keys that hold 0, 1, 2, … and no weights; written by older versions of ``transformers``."""

_OPENAI_BLOCK = {
    **_pairs({"norm_1": ("ln_1",)}),
    "attention.qkv.weight": Source(("attn.in_proj_weight",)),
    "attention.qkv.bias": Source(("attn.in_proj_bias",)),
    **_pairs(
        {
            "attention.out": ("attn.out_proj",),
            "norm_2": ("ln_2",),
            "mlp.0": ("mlp.c_fc",),
            "mlp.2": ("mlp.c_proj",),
        }
    ),
}

OPENAI: Table = {
    "logit_scale": Source(("logit_scale",)),
    "image.class_token": Source(("visual.class_embedding",)),
    "image.positions": Source(("visual.positional_embedding",)),
    "image.patches.weight": Source(("visual.conv1.weight",)),
    **_pairs({"image.pre_norm": ("visual.ln_pre",)}),
    **_blocks("image", "visual.transformer.resblocks", _OPENAI_BLOCK),
    **_pairs({"image.post_norm": ("visual.ln_post",)}),
    "image.projection.weight": Source(("visual.proj",), transposed=True),
    "text.positions": Source(("positional_embedding",)),
    "text.words.weight": Source(("token_embedding.weight",)),
    **_blocks("text", "transformer.resblocks", _OPENAI_BLOCK),
    **_pairs({"text.post_norm": ("ln_final",)}),
    "text.projection.weight": Source(("text_projection",), transposed=True),
}
"""openai/CLIP and open_clip, which kept the names."""

OPENAI_SIZES = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Keys of OpenAI's archives that hold one whole number each and no weights."""


def sources(table: Table, config: CLIPConfig) -> dict[str, Source]:
    """The table with the blocks of ``config`` counted out: a source for every parameter."""
    counted: dict[str, Source] = {}
    for name, source in table.items():
        blocks = config.image.blocks if name.startswith("image") else config.text.blocks
        for block in range(blocks if "{}" in name else 1):
            keys = tuple(key.format(block) for key in source.keys)
            counted[name.format(block)] = Source(keys, source.transposed)
    return counted
