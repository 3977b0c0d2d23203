"""Sizes of a CLIP: read from configs of ``transformers`` and open_clip, or from tensors' shapes."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import msgspec

from crossprompt.clip.model import CLIPConfig
from crossprompt.errors import RequestError

Activation = Literal["quick_gelu", "gelu"]
Json = Mapping[str, Any]

EPSILON = 1e-5
"""Epsilon of every LayerNorm."""
HEAD_WIDTH = 64
"""Width of an attention head in every CLIP by OpenAI, and open_clip's default."""
LARGEST = 2**20
"""Largest size: a product of three still fits in torch's 64-bit integers."""

SIZES: dict[str, dict[str, tuple[str, int, str, int]]] = {
    "image": {
        "side": ("image_size", 224, "image_size", 224),
        "patch": ("patch_size", 32, "patch_size", 16),
        "width": ("hidden_size", 768, "width", 768),
        "blocks": ("num_hidden_layers", 12, "layers", 12),
        "heads": ("num_attention_heads", 12, "head_width", HEAD_WIDTH),
        "mlp_width": ("intermediate_size", 3072, "mlp_ratio", 4),
    },
    "text": {
        "vocabulary": ("vocab_size", 49408, "vocab_size", 49408),
        "context": ("max_position_embeddings", 77, "context_length", 77),
        "width": ("hidden_size", 512, "width", 512),
        "blocks": ("num_hidden_layers", 12, "layers", 12),
        "heads": ("num_attention_heads", 8, "heads", 8),
        "mlp_width": ("intermediate_size", 2048, "mlp_ratio", 4),
    },
}
"""Our name of every size to the key and default of ``transformers``, then those of open_clip."""
HUGGING_FACE_TOWERS = {"image": "vision_config", "text": "text_config"}
OPEN_CLIP_TOWERS = {"image": "vision_cfg", "text": "text_cfg"}


def from_hugging_face(settings: Json) -> CLIPConfig:
    """Read the ``config.json`` of a ``transformers.CLIPModel``.

    Raises:
        RequestError: it is of another model, or has a value that this CLIP does not support.
    """
    _expect("model_type", settings.get("model_type"), "clip")
    found: dict[str, Any] = {"embed": settings.get("projection_dim", 512)}
    for tower, key in HUGGING_FACE_TOWERS.items():
        repeated = settings.get(f"{key}_dict")  # in older files; it then counts
        own = (settings.get(key) if repeated is None else repeated) or {}
        _expect("num_channels", own.get("num_channels", 3), 3)
        _expect("layer_norm_eps", own.get("layer_norm_eps", EPSILON), EPSILON)
        activation = own.get("hidden_act", "quick_gelu")
        _expect(f"hidden_act of {key}", activation, found.setdefault("activation", activation))
        found[tower] = {name: own.get(row[0], row[1]) for name, row in SIZES[tower].items()}
    return _checked(found)


def to_hugging_face(config: CLIPConfig, start: int, end: int) -> dict[str, Any]:
    """The ``config.json`` from which ``transformers.CLIPModel`` builds the same model.

    Args:
        config: the sizes.
        start: id of the start of text.
        end: id of the end of text, where ``transformers`` pools.
    """
    shared = {
        "projection_dim": config.embed,
        "hidden_act": config.activation,
        "layer_norm_eps": EPSILON,
    }
    image, text = (
        {row[0]: asdict(config)[tower][name] for name, row in SIZES[tower].items()}
        for tower in ("image", "text")
    )
    ids = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embed,
        "text_config": {"model_type": "clip_text_model", **text, **ids, **shared},
        "vision_config": {"model_type": "clip_vision_model", **image, "num_channels": 3, **shared},
    }


def from_open_clip(settings: Json) -> CLIPConfig:
    """Read an ``open_clip_config.json``, or its ``model_cfg`` alone.

    Raises:
        RequestError: it has a setting that this CLIP does not support.
    """
    model = settings.get("model_cfg", settings)
    _expect_only("model_cfg", model, ["embed_dim", "quick_gelu", *OPEN_CLIP_TOWERS.values()])
    activation = "quick_gelu" if model.get("quick_gelu", False) else "gelu"
    found: dict[str, Any] = {"embed": model.get("embed_dim"), "activation": activation}
    for tower, key in OPEN_CLIP_TOWERS.items():
        own = model.get(key, {})
        _expect_only(key, own, [row[2] for row in SIZES[tower].values()])
        sizes = {name: own.get(row[2], row[3]) for name, row in SIZES[tower].items()}
        sizes["mlp_width"] = int(sizes["width"] * sizes["mlp_width"])
        found[tower] = sizes
    found["image"]["heads"] = found["image"]["width"] // found["image"]["heads"]
    return _checked(found)


def from_shapes(shapes: Mapping[str, tuple[int, ...]], activation: Activation) -> CLIPConfig:
    """Infer the sizes of a state dict by OpenAI or open_clip without a config; heads are 64 wide.

    Raises:
        RequestError: it has no vision transformer, or lacks a key that a size is read from.
    """
    image, text = {}, {}
    try:
        image["width"], _, _, image["patch"] = shapes["visual.conv1.weight"]
        patches = shapes["visual.positional_embedding"][0] - 1
        image["side"] = math.isqrt(patches) * image["patch"]
        text["context"], text["width"] = shapes["positional_embedding"]
        text["vocabulary"] = shapes["token_embedding.weight"][0]
        for sizes, prefix in ((image, "visual."), (text, "")):
            prefix = f"{prefix}transformer.resblocks."
            blocks = {key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)}
            sizes["blocks"] = len(blocks)
            sizes["heads"] = max(1, sizes["width"] // HEAD_WIDTH)
            sizes["mlp_width"] = shapes[f"{prefix}0.mlp.c_fc.bias"][0]
        embed = shapes["text_projection"][1]
    except KeyError as error:
        raise RequestError(
            f"it has no {error.args[0]}; expected the keys of a CLIP with a vision transformer "
            "(ResNet image towers are not supported)"
        ) from None
    except (ValueError, IndexError):
        raise RequestError(
            "its tensors have the wrong number of axes; expected a CLIP with a vision transformer"
        ) from None
    return _checked({"image": image, "text": text, "embed": embed, "activation": activation})


def _checked(found: dict[str, Any]) -> CLIPConfig:
    try:
        config = msgspec.convert(found, CLIPConfig)
    except msgspec.ValidationError as error:
        raise RequestError(f"one of its values is wrong: {error}") from None
    sizes = {"feature width": config.embed}
    sizes |= {f"image {name}": size for name, size in asdict(config.image).items()}
    sizes |= {f"text {name}": size for name, size in asdict(config.text).items()}
    for name, size in sizes.items():
        if not 1 <= size <= LARGEST:
            raise RequestError(f"its {name} is {size!r:.20}; expected 1 to {LARGEST}")
    for tower in ("image", "text"):
        width, heads = sizes[f"{tower} width"], sizes[f"{tower} heads"]
        if width % heads:
            raise RequestError(f"its {tower} width {width} is no multiple of its {heads} heads")
    return config


def _expect(name: str, found: object, expected: object) -> None:
    if found != expected:
        raise RequestError(f"its {name} is {found!r}; expected {expected!r}")


def _expect_only(place: str, found: Json, known: list[str]) -> None:
    if unknown := sorted(set(found) - set(known)):
        raise RequestError(
            f"its {place} sets {', '.join(unknown)}, which is not supported; expected a plain CLIP "
            f"with only {', '.join(known)}"
        )
