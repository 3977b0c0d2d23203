"""Opens a checkpoint file (safetensors, state dict, TorchScript): shapes first, tensors on request.

Nothing is unpickled without ``weights_only=True``; ``torch.jit.load``, which OpenAI's archives
need, unpickles no Python.
"""

import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from crossprompt.clip.model import CLIPConfig
from crossprompt.errors import RequestError
from crossprompt.utils.text import listed


@dataclass(frozen=True)
class ParameterSource:
    """The keys of another format that hold one parameter."""

    keys: tuple[str, ...]
    """Stacked along the first axis."""
    transposed: bool = False
    """True if the other format holds the matrix as ``[in, out]``."""

    def read(self, read_key: Callable[[str], Tensor]) -> Tensor:
        """The parameter, from the tensors that ``read_key`` returns for the keys."""
        first, *others = (read_key(key) for key in self.keys)
        tensor = torch.cat([first, *others]) if others else first
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


KeyTable = Mapping[str, ParameterSource]
"""Our name of a parameter to its source; ``{}`` stands for the number of a block."""

# Our names, those of transformers, those of openai/CLIP and open_clip. * is weight and bias,
# and | separates keys that are stacked.
_TOWERS = """
logit_scale             logit_scale                                       logit_scale
image.class_token       vision_model.embeddings.class_embedding           visual.class_embedding
image.positions        vision_model.embeddings.position_embedding.weight visual.positional_embedding
image.patches.weight    vision_model.embeddings.patch_embedding.weight    visual.conv1.weight
image.pre_norm.*        vision_model.pre_layrnorm.*                       visual.ln_pre.*
image.post_norm.*       vision_model.post_layernorm.*                     visual.ln_post.*
image.projection.weight visual_projection.weight                          visual.proj
text.positions          text_model.embeddings.position_embedding.weight   positional_embedding
text.words.weight       text_model.embeddings.token_embedding.weight      token_embedding.weight
text.post_norm.*        text_model.final_layer_norm.*                     ln_final.*
text.projection.weight  text_projection.weight                            text_projection
"""
_BLOCKS = """
image.blocks.{}.  vision_model.encoder.layers.{}.  visual.transformer.resblocks.{}.
text.blocks.{}.   text_model.encoder.layers.{}.    transformer.resblocks.{}.
"""
_BLOCK = """
norm_1.*         layer_norm1.*                                               ln_1.*
attention.qkv.*  self_attn.q_proj.*|self_attn.k_proj.*|self_attn.v_proj.*    attn.in_proj_*
attention.out.*  self_attn.out_proj.*                                        attn.out_proj.*
norm_2.*         layer_norm2.*                                               ln_2.*
mlp.0.*          mlp.fc1.*                                                   mlp.c_fc.*
mlp.2.*          mlp.fc2.*                                                   mlp.c_proj.*
"""
_TRANSPOSED = ("visual.proj", "text_projection")


def _table(column: int) -> dict[str, ParameterSource]:
    """The source of every parameter, from one of the columns of keys."""
    towers, blocks, block = (
        [(row.split()[0], row.split()[column]) for row in text.strip().splitlines()]
        for text in (_TOWERS, _BLOCKS, _BLOCK)
    )
    rows = [(name, [key]) for name, key in towers]
    for prefix, key_prefix in blocks:
        for name, keys in block:
            rows.append((prefix + name, [key_prefix + key for key in keys.split("|")]))
    table = {}
    for name, own in rows:
        for part in ("weight", "bias") if name.endswith("*") else ("",):
            stacked = tuple(key.replace("*", part) for key in own)
            table[name.replace("*", part)] = ParameterSource(stacked, stacked[0] in _TRANSPOSED)
    return table


HUGGING_FACE: KeyTable = _table(1)
"""``transformers.CLIPModel``."""
OPENAI: KeyTable = _table(2)
"""openai/CLIP and open_clip."""

IGNORED = frozenset({"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"})
"""Buffers 0, 1, 2, … written by older versions of ``transformers``."""
OPENAI_SIZES = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Keys of OpenAI's archives that hold one whole number each and no weights."""


def sources(table: KeyTable, config: CLIPConfig) -> dict[str, ParameterSource]:
    """A source for every parameter of a model: the table with the blocks of ``config`` numbered."""
    numbered: dict[str, ParameterSource] = {}
    for name, source in table.items():
        blocks = config.image.blocks if name.startswith("image") else config.text.blocks
        for block in range(blocks if "{}" in name else 1):
            keys = tuple(key.replace("{}", str(block)) for key in source.keys)
            numbered[name.replace("{}", str(block))] = ParameterSource(keys, source.transposed)
    return numbered


@dataclass(frozen=True)
class StateDict:
    """The tensors of a file."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    """Key to shape, known before any tensor is read."""
    read: Callable[[str], Tensor]
    """Reads one tensor to the CPU, in the file's dtype."""
    torchscript: bool = False
    """True for a TorchScript archive, the form in which OpenAI published its weights."""

    @property
    def table(self) -> KeyTable:
        """The table of the file's keys; ``RequestError`` if it holds no CLIP."""
        if any(key.startswith(("text_model.", "vision_model.")) for key in self.shapes):
            return HUGGING_FACE
        if any(key.startswith("visual.") for key in self.shapes):
            return OPENAI
        found = listed(self.shapes, 5, str) or "no tensors"
        raise RequestError(
            f"{self.path} holds no CLIP: found {found}; expected the keys of transformers' "
            "CLIPModel (vision_model.…), of openai/CLIP or of open_clip (visual.…)"
        )

    @property
    def by_openai(self) -> bool:
        """True for OpenAI's own files, whose activation is QuickGELU."""
        return self.torchscript or not OPENAI_SIZES.isdisjoint(self.shapes)

    def check(self, expected: Mapping[str, tuple[int, ...]], ignored: Iterable[str]) -> None:
        """Raise ``RequestError`` naming the keys that are missing, unexpected or of wrong shape."""
        found = {key: shape for key, shape in self.shapes.items() if key not in set(ignored)}
        problems = {
            "missing": [key for key in expected if key not in found],
            "unexpected": [key for key in found if key not in expected],
            "wrong shape": [
                f"{key} {found[key]} instead of {shape}"
                for key, shape in expected.items()
                if key in found and found[key] != shape
            ],
        }
        if any(problems.values()):
            text = "; ".join(
                f"{kind}: {listed(keys, 5, str)}" for kind, keys in problems.items() if keys
            )
            raise RequestError(
                f"{self.path} does not fit its model: {text}; get the checkpoint again, or the "
                "config that belongs to it"
            )


def open_checkpoint(path: Path) -> StateDict:
    """Open a file by its content, not by its name.

    Args:
        path: safetensors, a state dict written by ``torch.save`` or a TorchScript archive.

    Raises:
        RequestError: the file is damaged or none of these.
    """
    with path.open("rb") as file:
        start = file.read(16)
    torchscript = False
    try:
        if start[8:9] == b"{":  # eight bytes of length, then JSON
            tensors = safe_open(path, framework="pt", device="cpu")
            shapes = {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118 not a mapping
            return StateDict(path, shapes, tensors.get_tensor)
        zipped = zipfile.is_zipfile(path)
        if zipped:
            with zipfile.ZipFile(path) as archive:
                torchscript = any(x.endswith("/constants.pkl") for x in archive.namelist())
        if torchscript:
            with warnings.catch_warnings():  # TorchScript is deprecated
                warnings.simplefilter("ignore", DeprecationWarning)
                state = torch.jit.load(str(path), map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged file can fail in any way
        # torch's message is about its loader then, not about the file
        silent = isinstance(error, (UnpicklingError, KeyError))
        reason = "" if silent else str(error).strip().partition("\n")[0]
        raise RequestError(
            f"{path} is not a checkpoint, or is damaged{f' ({reason})' if reason else ''}; "
            "expected safetensors, a PyTorch state dict or OpenAI's TorchScript archive; get the "
            "file again"
        ) from error
    return _from_state(path, state, torchscript)


def _from_state(path: Path, state: Any, torchscript: bool) -> StateDict:
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]  # open_clip's training checkpoints also hold the optimizer
    if not isinstance(state, Mapping) or not all(isinstance(x, Tensor) for x in state.values()):
        raise RequestError(
            f"{path} holds no state dict; expected names and tensors, as torch.save writes them"
        )
    if state and all(key.startswith("module.") for key in state):  # saved from several processes
        state = {key.removeprefix("module."): value for key, value in state.items()}
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    return StateDict(path, shapes, state.__getitem__, torchscript)
