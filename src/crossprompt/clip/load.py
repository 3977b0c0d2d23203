"""Load a CLIP by name, folder or file, whatever format it is in, and save it in Hugging Face's."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from crossprompt.clip.configs import (
    Activation,
    from_hugging_face,
    to_hugging_face,
)
from crossprompt.clip.key_maps import (
    HUGGING_FACE,
    HUGGING_FACE_BUFFERS,
    OPENAI_SIZES,
    Source,
    sources,
)
from crossprompt.clip.locate import CHECKPOINTS, WEIGHTS, Hub, Place, find_checkpoint, full_name
from crossprompt.clip.model import CLIP, CLIPConfig
from crossprompt.clip.open_clip_configs import from_open_clip, from_shapes
from crossprompt.clip.preprocess import Preprocess
from crossprompt.clip.state_dict import Checkpoint, open_checkpoint
from crossprompt.clip.tokenizer import Tokenizer
from crossprompt.errors import RequestError
from crossprompt.utils.device import choose_device, choose_dtype

OPENAI_VOCABULARY = 49408
"""Ids of the one vocabulary that OpenAI's and nearly all open_clip checkpoints share."""


def load_clip(
    name: str | PathLike[str],
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    cache_dir: str | PathLike[str] | None = None,
    tokenizer: Tokenizer | str | PathLike[str] | None = None,
    activation: Activation | None = None,
) -> CLIP:
    """Load a frozen CLIP with its tokenizer and image transform.

    Args:
        name: ``tiny`` (comes with the package), a repository of the Hugging Face hub, a folder, or
            a file: of transformers' ``CLIPModel``, OpenAI's ``.pt`` archive or an open_clip state
            dict.
        device: where the weights go; ``auto`` is the best there is.
        dtype: what the towers compute in, whatever the file's dtype: ``fp32``, ``bf16``, ``fp16``
            or ``auto``, which is bf16 where the hardware multiplies in it and fp32 elsewhere. The
            logit scale stays fp32.
        cache_dir: where files from the hub are kept; the cache of ``huggingface_hub`` by default.
        tokenizer: a ``tokenizer.json``, where none stands beside the weights.
        activation: ``quick_gelu`` or ``gelu``, for a state dict without a config. If neither is
            given, ``gelu`` is assumed with a warning, but OpenAI's own files use ``quick_gelu``.

    Raises:
        RequestError: there is no such checkpoint, the hub cannot be reached, or a file is damaged
            or does not fit: keys that are missing, unexpected or of the wrong shape are named.
    """
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    if not dtype.is_floating_point:
        raise RequestError(
            f"cannot compute in {dtype}; expected a floating-point dtype such as torch.float32"
        )
    place, weights = find_checkpoint(name, cache_dir)
    checkpoint = open_checkpoint(weights)
    config = _config(place, checkpoint, activation)
    clip = build(config, checkpoint, device, dtype)
    clip.name = full_name(name)
    clip.tokenizer = _tokenizer(tokenizer, place, checkpoint, config, cache_dir)
    clip.preprocess = _preprocess(place, config)
    return clip


def save_clip(clip: CLIP, folder: str | PathLike[str], dtype: torch.dtype | None = None) -> None:
    """Write Hugging Face's folder format, which ``load_clip`` and ``transformers.CLIPModel`` read.

    Args:
        clip: with its ``tokenizer`` and ``preprocess``.
        folder: created if need be; files of the same names are replaced.
        dtype: of the weights in the file, the model's own by default.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    parameters = clip.state_dict()
    for name, source in sources(HUGGING_FACE, clip.config).items():
        state.update(source.write(parameters[name].to("cpu", dtype)))
    # not save_file, which lets nobody but the user read the file, whatever the umask
    data = save(state, metadata={"format": "pt"})  # transformers asks for it
    (folder / WEIGHTS[0]).write_bytes(data)
    tokenizer = clip.tokenizer
    tokenizer.save(folder / "tokenizer.json")
    clip.preprocess.save(folder / "preprocessor_config.json")
    context = {"tokenizer_class": "CLIPTokenizer", "model_max_length": clip.config.text.context}
    _write_json(folder / "tokenizer_config.json", context)
    config = to_hugging_face(clip.config, tokenizer.start, tokenizer.end)
    _write_json(folder / "config.json", config)


def _config(place: Place, checkpoint: Checkpoint, activation: Activation | None) -> CLIPConfig:
    """The sizes, from the config beside the weights or from the weights' own shapes."""
    names = ["config.json" if checkpoint.table is HUGGING_FACE else "open_clip_config.json"]
    path = None if checkpoint.by_openai else place.find(names)
    if path is None and checkpoint.table is HUGGING_FACE:
        raise place.missing(names, "config, which says the numbers of heads and the activation")
    try:
        if path is None:
            return from_shapes(checkpoint.shapes, _activation(checkpoint, activation))
        read = from_hugging_face if checkpoint.table is HUGGING_FACE else from_open_clip
        config = read(_read_json(path))
    except RequestError as error:
        raise RequestError(f"{path or checkpoint.path}: {error}") from None
    except (TypeError, AttributeError, ZeroDivisionError) as error:  # objects and numbers swapped
        raise RequestError(f"{path} is damaged: {error}; get the file again") from error
    if activation not in (None, config.activation):
        raise RequestError(
            f"{path} says activation {config.activation}, but {activation} was asked for; leave "
            "the option out"
        )
    return config


def _activation(checkpoint: Checkpoint, asked: Activation | None) -> Activation:
    """Of a state dict without a config."""
    if checkpoint.by_openai:
        if asked == "gelu":
            raise RequestError(
                "OpenAI's own checkpoints use quick_gelu, but gelu was asked for; leave it out"
            )
        return "quick_gelu"
    if asked is None:
        warnings.warn(
            f"{checkpoint.path} does not say its activation and gelu is assumed, which is wrong "
            "for models trained with QuickGELU; put its open_clip_config.json beside it or give "
            "activation=",
            stacklevel=4,
        )
    return asked or "gelu"


def build(
    config: CLIPConfig, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype
) -> CLIP:
    """The model of ``config`` with a checkpoint's weights, frozen.

    Args:
        config: shapes are compared with the file's before any memory is taken.
        checkpoint: each of its tensors is read once.
        device: where the weights go.
        dtype: what the towers compute in.

    Raises:
        RequestError: a key is missing, unexpected or of the wrong shape.
    """
    for tower, blocks in (("image", config.image.blocks), ("text", config.text.blocks)):
        if blocks > len(checkpoint.shapes):  # which it would take ages to build
            raise RequestError(
                f"{checkpoint.path} does not fit its model: {blocks} blocks in the {tower} tower, "
                f"but {len(checkpoint.shapes)} tensors; get the config that belongs to it"
            )
    with torch.device("meta"):
        clip = CLIP(config)
    table = sources(checkpoint.table, config)
    shapes = {
        key: tuple(shape)
        for name, parameter in clip.named_parameters()
        for key, shape in table[name].shapes(parameter.shape).items()
    }
    checkpoint.check(shapes, HUGGING_FACE_BUFFERS | OPENAI_SIZES)
    state, clip.weights_hash = _read(table, checkpoint, device, dtype)
    clip.load_state_dict(state, assign=True)
    return clip.eval().requires_grad_(False)


def _read(
    table: Mapping[str, Source], checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, Tensor], str]:
    """Every parameter, converted, and a hash of all of them as the file has them."""
    state, digest = {}, hashlib.sha256()
    for name in sorted(table):
        tensor = table[name].read(checkpoint.read).contiguous()
        if not tensor.is_floating_point():
            raise RequestError(
                f"{checkpoint.path}: {name} is {tensor.dtype}; expected floating-point weights"
            )
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        wanted = torch.float32 if name == "logit_scale" else dtype
        state[name] = tensor.to(device, wanted, copy=True)  # never a view of the file
    return state, digest.hexdigest()


def _tokenizer(
    asked: Tokenizer | str | PathLike[str] | None,
    place: Place,
    checkpoint: Checkpoint,
    config: CLIPConfig,
    cache_dir: str | PathLike[str] | None,
) -> Tokenizer:
    if asked is None:
        tokenizer = _tokenizer_at(place)
    else:
        tokenizer = asked if isinstance(asked, Tokenizer) else Tokenizer.from_file(asked)
    if (
        tokenizer is None
        and config.text.vocabulary == OPENAI_VOCABULARY
        and checkpoint.table is not HUGGING_FACE
    ):
        tokenizer = _tokenizer_at(Hub(CHECKPOINTS["ViT-B/16"], cache_dir))
    if tokenizer is None:
        raise place.missing(["tokenizer.json"], "tokenizer")
    if tokenizer.size > config.text.vocabulary:
        raise RequestError(
            f"the tokenizer has {tokenizer.size} ids, but the weights of {checkpoint.path} only "
            f"{config.text.vocabulary}; give the tokenizer that belongs to them"
        )
    return tokenizer


def _tokenizer_at(place: Place) -> Tokenizer | None:
    if path := place.find(["tokenizer.json"]):
        return Tokenizer.from_file(path)
    vocabulary, merges = place.find(["vocab.json"]), place.find(["merges.txt"])
    return Tokenizer.from_vocabulary(vocabulary, merges) if vocabulary and merges else None


def _preprocess(place: Place, config: CLIPConfig) -> Preprocess:
    path = place.find(["preprocessor_config.json", "processor_config.json"])
    if path is None and (path := place.find(["open_clip_config.json"])):
        return Preprocess.from_open_clip(path, config.image.side)
    if path is None:
        return Preprocess(config.image.side, config.image.side)
    preprocess = Preprocess.from_file(path)
    if preprocess.side != config.image.side:
        raise RequestError(
            f"{path} crops {preprocess.side} pixels, but the image tower takes "
            f"{config.image.side}; use the file that belongs to the weights"
        )
    return preprocess


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RequestError(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise RequestError("it is not a JSON object")
    return found


def _write_json(path: Path, settings: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
