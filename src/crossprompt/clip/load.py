"""Loads a CLIP by name, folder or file, whatever its format, and saves it in Hugging Face's."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from crossprompt.clip import locate
from crossprompt.clip.locate import Activation, first_file
from crossprompt.clip.model import CLIP, CLIPConfig
from crossprompt.clip.preprocess import Preprocess
from crossprompt.clip.state_dict import (
    HUGGING_FACE,
    IGNORED,
    OPENAI,
    OPENAI_SIZES,
    ParameterSource,
    StateDict,
    open_checkpoint,
    sources,
)
from crossprompt.clip.tokenizer import Tokenizer
from crossprompt.errors import RequestError
from crossprompt.utils.device import choose_device, choose_dtype
from crossprompt.utils.files import read_json

OPENAI_VOCABULARY = 49408
"""Size of the one vocabulary that OpenAI's and nearly all open_clip checkpoints share."""


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
        dtype: the dtype the towers compute in, whatever the file's: ``fp32``, ``bf16``, ``fp16``
            or ``auto``, which is bf16 where the hardware multiplies in it and fp32 elsewhere. The
            logit scale stays fp32.
        cache_dir: where files from the hub are cached; the cache of ``huggingface_hub`` by default.
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
    checkpoint = open_checkpoint(locate.find_checkpoint(name, cache_dir))
    config = _read_config(checkpoint, activation)
    clip = build(config, checkpoint, device, dtype)
    path = Path(name).expanduser()  # absolute, to be found again from any working directory
    clip.name = str(path.resolve()) if name != "tiny" and path.exists() else str(name)
    clip.tokenizer = _read_tokenizer(tokenizer, checkpoint, config, cache_dir)
    clip.preprocess = _read_preprocess(checkpoint.path.parent, config.image.side)
    return clip


def save_clip(clip: CLIP, folder: str | PathLike[str], dtype: torch.dtype | None = None) -> None:
    """Write Hugging Face's folder format, which ``load_clip`` and ``transformers.CLIPModel`` read.

    Files of the same names are replaced. ``dtype`` of the weights is the model's own by default.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state, parameters = {}, clip.state_dict()
    for name, source in sources(HUGGING_FACE, clip.config).items():
        state.update(source.write(parameters[name].to("cpu", dtype)))
    # not save_file, which lets nobody but the user read the file, whatever the umask
    data = save(state, metadata={"format": "pt"})  # transformers requires it
    (folder / locate.WEIGHTS[0]).write_bytes(data)
    clip.tokenizer.save(folder / "tokenizer.json")
    clip.preprocess.save(folder / "preprocessor_config.json")
    context = {"tokenizer_class": "CLIPTokenizer", "model_max_length": clip.config.text.context}
    config = locate.to_hugging_face(clip.config, clip.tokenizer.start, clip.tokenizer.end)
    for name, settings in (("tokenizer_config.json", context), ("config.json", config)):
        (folder / name).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def build(
    config: CLIPConfig, checkpoint: StateDict, device: torch.device, dtype: torch.dtype
) -> CLIP:
    """The model of ``config`` with a checkpoint's weights, frozen.

    Shapes are compared with the file's before any memory is allocated.

    Raises:
        RequestError: a key is missing, unexpected or of the wrong shape.
    """
    blocks, tensors = config.image.blocks + config.text.blocks, len(checkpoint.shapes)
    if blocks > tensors:  # it would take very long to build
        raise RequestError(
            f"{checkpoint.path} does not fit its model: {blocks} blocks, but {tensors} tensors; "
            "get the config that belongs to it"
        )
    with torch.device("meta"):
        clip = CLIP(config)
    table = sources(checkpoint.table, config)
    shapes = {
        key: tuple(shape)
        for name, parameter in clip.named_parameters()
        for key, shape in table[name].shapes(parameter.shape).items()
    }
    checkpoint.check(shapes, IGNORED | OPENAI_SIZES)
    state, clip.weights_hash = _read_weights(table, checkpoint, device, dtype)
    clip.load_state_dict(state, assign=True)
    return clip.eval().requires_grad_(False)


def _read_weights(
    table: Mapping[str, ParameterSource],
    checkpoint: StateDict,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[dict[str, Tensor], str]:
    """Every parameter, converted, and a hash of all of them as they are in the file."""
    state, digest = {}, hashlib.sha256()
    for name in sorted(table):
        tensor = table[name].read(checkpoint.read).contiguous()
        if not tensor.is_floating_point():
            raise RequestError(
                f"{checkpoint.path}: {name} is {tensor.dtype}; expected floating-point weights"
            )
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        chosen = torch.float32 if name == "logit_scale" else dtype
        state[name] = tensor.to(device, chosen, copy=True)  # never a view of the file
    return state, digest.hexdigest()


def _read_config(checkpoint: StateDict, activation: Activation | None) -> CLIPConfig:
    """The sizes, from the config beside the weights or from the weights' own shapes."""
    hugging_face = checkpoint.table is HUGGING_FACE
    path = checkpoint.path.with_name("config.json" if hugging_face else "open_clip_config.json")
    if not path.is_file() and hugging_face:
        raise RequestError(f"there is no {path}; put the config of the weights beside them")
    has_config = path.is_file() and not checkpoint.by_openai
    settings = read_json(path, dict, "get the file again") if has_config else {}
    try:
        if not has_config:
            path = checkpoint.path
            activation = _choose_activation(checkpoint, activation)
            return locate.from_shapes(checkpoint.shapes, activation)
        read = locate.from_hugging_face if hugging_face else locate.from_open_clip
        config = read(settings)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from None
    except (TypeError, AttributeError, ZeroDivisionError) as error:  # objects and numbers swapped
        raise RequestError(f"{path} is damaged: {error}; get the file again") from error
    if activation not in (None, config.activation):
        raise RequestError(
            f"{path} has activation {config.activation}, but {activation} was requested; leave "
            "the option out"
        )
    return config


def _choose_activation(checkpoint: StateDict, requested: Activation | None) -> Activation:
    """The activation of a state dict without a config."""
    if checkpoint.by_openai:
        if requested == "gelu":
            raise RequestError(
                "OpenAI's own checkpoints use quick_gelu, but gelu was requested; leave it out"
            )
        return "quick_gelu"
    if requested is None:
        warnings.warn(
            f"{checkpoint.path} does not say its activation and gelu is assumed, which is wrong "
            "for models trained with QuickGELU; put its open_clip_config.json beside it or give "
            "activation=",
            stacklevel=4,
        )
    return requested or "gelu"


def _read_tokenizer(
    given: Tokenizer | str | PathLike[str] | None,
    checkpoint: StateDict,
    config: CLIPConfig,
    cache_dir: str | PathLike[str] | None,
) -> Tokenizer:
    folder, names = checkpoint.path.parent, ["tokenizer.json"]
    given = given or first_file(folder, names)
    if isinstance(given, Tokenizer):
        tokenizer = given
    elif given is not None:
        tokenizer = Tokenizer.from_file(given)
    elif (merges := folder / "merges.txt").is_file():
        tokenizer = Tokenizer.from_file(folder / "vocab.json", merges)
    elif checkpoint.table is OPENAI and config.text.vocabulary == OPENAI_VOCABULARY:
        folder = locate.fetch(locate.CHECKPOINTS["ViT-B/16"], names, names, cache_dir)
        tokenizer = Tokenizer.from_file(folder / names[0])
    else:
        raise RequestError(f"{folder} has no tokenizer; put its tokenizer.json there")
    if tokenizer.size > config.text.vocabulary:
        raise RequestError(
            f"the tokenizer has {tokenizer.size} ids, but the weights of {checkpoint.path} only "
            f"{config.text.vocabulary}; give the tokenizer that belongs to them"
        )
    return tokenizer


def _read_preprocess(folder: Path, side: int) -> Preprocess:
    path = first_file(folder, locate.PREPROCESS)
    if path is None:
        path = folder / "open_clip_config.json"
        return Preprocess.from_open_clip(path, side) if path.is_file() else Preprocess(side, side)
    preprocess = Preprocess.from_file(path)
    if preprocess.side != side:
        raise RequestError(
            f"{path} crops {preprocess.side} pixels, but the image tower takes {side}; use the "
            "file that belongs to the weights"
        )
    return preprocess
