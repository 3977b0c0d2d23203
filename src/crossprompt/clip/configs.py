"""A checkpoint's sizes, from and to the ``config.json`` of ``transformers``."""

from collections.abc import Mapping
from typing import Any, Literal

from crossprompt.clip.model import CLIPConfig, ImageConfig, TextConfig
from crossprompt.errors import RequestError

Activation = Literal["quick_gelu", "gelu"]
Json = Mapping[str, Any]

EPSILON = 1e-5
"""Of every LayerNorm."""

TEXT_DEFAULTS: Json = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": EPSILON,
}
IMAGE_DEFAULTS: Json = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": EPSILON,
}
LARGEST = 2**20
"""Of any size: products of three of them are numbers that torch can count to."""
EMBED_DEFAULT = 512
"""What ``transformers`` assumes where ``config.json`` leaves a size out."""


def from_hugging_face(settings: Json) -> CLIPConfig:
    """The sizes in a ``config.json`` of ``transformers.CLIPModel``.

    Raises:
        RequestError: it is of another model, or asks for what this CLIP cannot do.
    """
    if settings.get("model_type") != "clip":
        raise RequestError(
            f"its model_type is {settings.get('model_type')!r}; expected 'clip', which "
            "transformers writes for a CLIPModel"
        )
    text = _tower(settings, "text_config", TEXT_DEFAULTS)
    image = _tower(settings, "vision_config", IMAGE_DEFAULTS)
    _expect("num_channels", image["num_channels"], 3)
    _expect("layer_norm_eps", text["layer_norm_eps"], EPSILON)
    _expect("layer_norm_eps", image["layer_norm_eps"], EPSILON)
    _expect("hidden_act of the image tower", image["hidden_act"], text["hidden_act"])
    return checked(
        image={
            "side": image["image_size"],
            "patch": image["patch_size"],
            "width": image["hidden_size"],
            "blocks": image["num_hidden_layers"],
            "heads": image["num_attention_heads"],
            "mlp_width": image["intermediate_size"],
        },
        text={
            "vocabulary": text["vocab_size"],
            "context": text["max_position_embeddings"],
            "width": text["hidden_size"],
            "blocks": text["num_hidden_layers"],
            "heads": text["num_attention_heads"],
            "mlp_width": text["intermediate_size"],
        },
        embed=settings.get("projection_dim", EMBED_DEFAULT),
        activation=text["hidden_act"],
    )


def to_hugging_face(config: CLIPConfig, start: int, end: int) -> dict[str, Any]:
    """The ``config.json`` from which ``transformers.CLIPModel`` builds the same model.

    Args:
        config: the sizes.
        start: id of the start of text.
        end: id of the end of text, where ``transformers`` pools.
    """
    shared = {"hidden_act": config.activation, "layer_norm_eps": EPSILON}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embed,
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": config.text.vocabulary,
            "max_position_embeddings": config.text.context,
            "hidden_size": config.text.width,
            "num_hidden_layers": config.text.blocks,
            "num_attention_heads": config.text.heads,
            "intermediate_size": config.text.mlp_width,
            "projection_dim": config.embed,
            "bos_token_id": start,
            "eos_token_id": end,
            "pad_token_id": end,
            **shared,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "image_size": config.image.side,
            "patch_size": config.image.patch,
            "hidden_size": config.image.width,
            "num_hidden_layers": config.image.blocks,
            "num_attention_heads": config.image.heads,
            "intermediate_size": config.image.mlp_width,
            "projection_dim": config.embed,
            "num_channels": 3,
            **shared,
        },
    }


def checked(image: Json, text: Json, embed: Any, activation: Any) -> CLIPConfig:
    """A config from values of any kind.

    Raises:
        RequestError: a size is no whole number, the heads do not divide a width, or the activation
            is unknown.
    """
    sizes = {f"image {name}": value for name, value in image.items()}
    sizes |= {f"text {name}": value for name, value in text.items()}
    for name, value in (sizes | {"feature width": embed}).items():
        if type(value) is not int or value < 1:
            raise RequestError(f"its {name} is {value!r}; expected a whole number above 0")
        if value > LARGEST:
            raise RequestError(f"its {name} is {value!r:.20}; expected {LARGEST} at most")
    for name, tower in (("image", image), ("text", text)):
        if tower["width"] % tower["heads"]:
            raise RequestError(
                f"its {name} width {tower['width']} is no multiple of its {tower['heads']} heads"
            )
    if activation not in ("quick_gelu", "gelu"):
        raise RequestError(f"its activation is {activation!r}; expected quick_gelu or gelu")
    return CLIPConfig(ImageConfig(**image), TextConfig(**text), embed, activation)


def _tower(settings: Json, key: str, defaults: Json) -> dict[str, Any]:
    """The settings of one tower; where an older file repeats them in ``…_dict``, that counts."""
    repeated = settings.get(f"{key}_dict")
    chosen = settings.get(key) if repeated is None else repeated
    return {**defaults, **(chosen or {})}


def _expect(name: str, found: object, expected: object) -> None:
    if found != expected:
        raise RequestError(f"its {name} is {found!r}; expected {expected!r}")
