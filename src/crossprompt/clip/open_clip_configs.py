"""The sizes of a checkpoint by open_clip or OpenAI: from its JSON, or from the tensors' shapes."""

import math
from collections.abc import Mapping
from typing import Any

from crossprompt.clip.configs import Activation, Json, checked
from crossprompt.clip.model import CLIPConfig
from crossprompt.errors import RequestError

Shapes = Mapping[str, tuple[int, ...]]

HEAD_WIDTH = 64
"""Of every CLIP by OpenAI, and open_clip's default."""
DEFAULTS: Json = {
    "embed_dim": None,
    "quick_gelu": False,
    "vision_cfg": {},
    "text_cfg": {},
}
IMAGE_DEFAULTS: Json = {
    "image_size": 224,
    "patch_size": 16,
    "width": 768,
    "layers": 12,
    "head_width": HEAD_WIDTH,
    "mlp_ratio": 4.0,
}
TEXT_DEFAULTS: Json = {
    "vocab_size": 49408,
    "context_length": 77,
    "width": 512,
    "layers": 12,
    "heads": 8,
    "mlp_ratio": 4.0,
}
"""What ``open_clip`` assumes where its config leaves a size out."""


def from_open_clip(settings: Json) -> CLIPConfig:
    """The sizes in an ``open_clip_config.json``, or in its ``model_cfg`` alone.

    Raises:
        RequestError: it has a setting that this CLIP cannot follow.
    """
    model = _known(settings.get("model_cfg", settings), DEFAULTS, "model_cfg")
    image = _known(model["vision_cfg"], IMAGE_DEFAULTS, "vision_cfg")
    text = _known(model["text_cfg"], TEXT_DEFAULTS, "text_cfg")
    return checked(
        image={
            "side": image["image_size"],
            "patch": image["patch_size"],
            "width": image["width"],
            "blocks": image["layers"],
            "heads": image["width"] // image["head_width"],
            "mlp_width": int(image["width"] * image["mlp_ratio"]),
        },
        text={
            "vocabulary": text["vocab_size"],
            "context": text["context_length"],
            "width": text["width"],
            "blocks": text["layers"],
            "heads": text["heads"],
            "mlp_width": int(text["width"] * text["mlp_ratio"]),
        },
        embed=model["embed_dim"],
        activation="quick_gelu" if model["quick_gelu"] else "gelu",
    )


def from_shapes(shapes: Shapes, activation: Activation) -> CLIPConfig:
    """The sizes of a state dict by OpenAI or open_clip without a config; heads are 64 wide.

    Raises:
        RequestError: it has no vision transformer, or lacks a key that a size is read from.
    """
    try:
        width, _, _, patch = shapes["visual.conv1.weight"]
        context, text_width = shapes["positional_embedding"]
        first = "transformer.resblocks.0.mlp.c_fc.bias"
        image = {
            "side": math.isqrt(shapes["visual.positional_embedding"][0] - 1) * patch,
            "patch": patch,
            "width": width,
            "blocks": _count(shapes, "visual.transformer.resblocks."),
            "heads": max(1, width // HEAD_WIDTH),
            "mlp_width": shapes[f"visual.{first}"][0],
        }
        text = {
            "vocabulary": shapes["token_embedding.weight"][0],
            "context": context,
            "width": text_width,
            "blocks": _count(shapes, "transformer.resblocks."),
            "heads": max(1, text_width // HEAD_WIDTH),
            "mlp_width": shapes[first][0],
        }
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
    return checked(image, text, embed, activation)


def _known(found: Json, known: Json, place: str) -> dict[str, Any]:
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise RequestError(
            f"its {place} sets {', '.join(unknown)}, which is not supported; expected a plain CLIP "
            f"with only {', '.join(known)}"
        )
    return {**known, **found}


def _count(shapes: Shapes, prefix: str) -> int:
    """Number of blocks under ``prefix``."""
    return len({key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)})
