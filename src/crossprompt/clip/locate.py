"""Finds the files of a checkpoint (package, folder or Hugging Face hub) and reads its config."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import msgspec

from crossprompt.clip.model import CLIPConfig
from crossprompt.errors import RequestError
from crossprompt.utils.text import nearest, one_line

Activation = Literal["quick_gelu", "gelu"]

TINY = Path(__file__).parent / "tiny"
"""The checkpoint that comes with the package."""
CHECKPOINTS = {
    "tiny": "tiny",
    "ViT-B/32": "openai/clip-vit-base-patch32",
    "ViT-B/16": "openai/clip-vit-base-patch16",
    "ViT-L/14": "openai/clip-vit-large-patch14",
    "ViT-B/16 laion2b": "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
}
"""Well-known checkpoints: their names in papers, and the name that ``load_clip`` takes."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")
PREPROCESS = ("preprocessor_config.json", "processor_config.json")
BESIDE_WEIGHTS = ("config.json", "open_clip_config.json", *TOKENIZER, *PREPROCESS)
"""Every small file that a checkpoint may need."""

EPSILON = 1e-5
"""Epsilon of every LayerNorm."""
HEAD_WIDTH = 64
"""Width of an attention head in every CLIP by OpenAI, and open_clip's default."""

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


def from_hugging_face(settings: Mapping[str, Any]) -> CLIPConfig:
    """Read the ``config.json`` of a ``transformers.CLIPModel``.

    Raises:
        RequestError: it is of another model, or has a value that this CLIP does not support.
    """
    _expect("model_type", settings.get("model_type"), "clip")
    found: dict[str, Any] = {"embed": settings.get("projection_dim", 512)}
    for tower, key in {"image": "vision_config", "text": "text_config"}.items():
        repeated = settings.get(f"{key}_dict")  # older files repeat the settings; these apply
        own = (settings.get(key) if repeated is None else repeated) or {}
        _expect("num_channels", own.get("num_channels", 3), 3)
        _expect("layer_norm_eps", own.get("layer_norm_eps", EPSILON), EPSILON)
        activation = own.get("hidden_act", "quick_gelu")
        _expect(f"hidden_act of {key}", activation, found.setdefault("activation", activation))
        found[tower] = {name: own.get(row[0], row[1]) for name, row in SIZES[tower].items()}
    return _checked(found)


def to_hugging_face(config: CLIPConfig, start: int, end: int) -> dict[str, Any]:
    """The ``config.json`` from which ``transformers.CLIPModel`` builds the same model.

    ``start`` and ``end`` are the ids of start and end of text; ``transformers`` pools at the end.
    """
    embed = {"projection_dim": config.embed}
    shared = {**embed, "hidden_act": config.activation, "layer_norm_eps": EPSILON}
    image, text = (
        {row[0]: asdict(config)[tower][name] for name, row in sizes.items()}
        for tower, sizes in SIZES.items()
    )
    ids = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        **embed,
        "text_config": {"model_type": "clip_text_model", **text, **ids, **shared},
        "vision_config": {"model_type": "clip_vision_model", **image, "num_channels": 3, **shared},
    }


def from_open_clip(settings: Mapping[str, Any]) -> CLIPConfig:
    """Read an ``open_clip_config.json``, or its ``model_cfg`` alone.

    Raises:
        RequestError: it has a setting that this CLIP does not support.
    """
    model = settings.get("model_cfg", settings)
    towers = {"image": "vision_cfg", "text": "text_cfg"}
    _expect_only("model_cfg", model, ["embed_dim", "quick_gelu", *towers.values()])
    activation = "quick_gelu" if model.get("quick_gelu", False) else "gelu"
    found: dict[str, Any] = {"embed": model.get("embed_dim"), "activation": activation}
    for tower, key in towers.items():
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
    except (KeyError, ValueError, IndexError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else "the wrong number of axes"
        raise RequestError(
            f"it has {reason}; expected a CLIP with a vision transformer (ResNet image towers are "
            "not supported)"
        ) from None
    return _checked({"image": image, "text": text, "embed": embed, "activation": activation})


def _checked(found: dict[str, Any]) -> CLIPConfig:
    try:
        config = msgspec.convert(found, CLIPConfig)
    except msgspec.ValidationError as error:
        raise RequestError(f"one of its values is wrong: {error}") from None
    for name, tower in (("image", config.image), ("text", config.text)):
        if tower.width % tower.heads:
            raise RequestError(
                f"its {name} width {tower.width} is no multiple of its {tower.heads} heads"
            )
    return config


def _expect(name: str, found: object, expected: object) -> None:
    if found != expected:
        raise RequestError(f"its {name} is {found!r}; expected {expected!r}")


def _expect_only(place: str, found: Mapping[str, Any], known: list[str]) -> None:
    if unknown := sorted(set(found) - set(known)):
        raise RequestError(
            f"its {place} sets {', '.join(unknown)}, which is not supported; expected a plain CLIP "
            f"with only {', '.join(known)}"
        )


def find_checkpoint(name: str | PathLike[str], cache_dir: str | PathLike[str] | None) -> Path:
    """The weights of a checkpoint; its other files are in the same folder.

    Args:
        name: as ``load_clip`` takes it.
        cache_dir: where files from the hub are cached.

    Raises:
        RequestError: nothing has that name, or it holds no weights.
    """
    path = Path(name).expanduser()
    if name == "tiny" or (str(name) == "tiny" and not path.exists()):
        path = TINY
    if str(name) and path.is_file():
        return path
    if str(name) and path.is_dir():
        names = _weight_names(path)
        if weights := first_file(path, names):
            return weights
        raise RequestError(f"{path} has no weights; put {' or '.join(names)} into it")
    if _is_repository(name):
        return _fetch_weights(str(name), cache_dir)
    raise RequestError(_unknown(name))


def first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of ``names`` that is in the folder."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def fetch(
    repository: str,
    names: Sequence[str],
    needed: Sequence[str],
    cache_dir: str | PathLike[str] | None,
) -> Path:
    """The local folder with those of ``names`` that a repository of the hub has.

    If one of ``needed`` is cached, nothing is fetched.

    Raises:
        RequestError: there is no such repository, it refuses, or nothing of it is cached and the
            hub cannot be reached.
    """
    # not at the top: it takes a while to import, and a local folder needs no hub
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    cache, folder = None if cache_dir is None else Path(cache_dir), None
    for offline in (True, False):
        try:
            path = snapshot_download(
                repository, allow_patterns=[*names], cache_dir=cache, local_files_only=offline
            )
            folder = Path(path)
        except errors.LocalEntryNotFoundError as error:
            if not offline and folder is None:
                raise RequestError(_not_found(repository, names[:1])) from error
        except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
            raise RequestError(
                f"the hub has no public repository {repository!r}; check the spelling, log in with "
                "'hf auth login' if it is private, or give the path of a local folder"
            ) from error
        except OSError as error:  # refused or broken off
            raise RequestError(
                f"{repository} cannot be fetched from the hub ({one_line(error):.200}); try again, "
                "or give the path of a local folder"
            ) from error
        if folder is not None and first_file(folder, needed):
            break
    assert folder is not None  # or it would be reported above
    return folder


def _fetch_weights(repository: str, cache_dir: str | PathLike[str] | None) -> Path:
    folder = fetch(repository, BESIDE_WEIGHTS, TOKENIZER, cache_dir)
    names = _weight_names(folder)
    if weights := first_file(folder, names):
        return weights
    for name in names:  # one after the other: a repository may hold the same weights twice
        if weights := first_file(fetch(repository, [name], [name], cache_dir), [name]):
            return weights
    raise RequestError(_not_found(repository, names))


def _weight_names(folder: Path) -> Sequence[str]:
    config = first_file(folder, ["config.json", "open_clip_config.json"])
    return OPEN_CLIP_WEIGHTS if config and config.name != "config.json" else WEIGHTS


def _not_found(repository: str, names: Sequence[str]) -> str:
    return (
        f"{repository} has no {' or '.join(names)} in the local cache, and the hub has none or "
        f"cannot be reached; on a connected machine run 'hf download {repository} --local-dir "
        "FOLDER', copy the folder here and give its path (on the command line: --backbone)"
    )


def _is_repository(name: str | PathLike[str]) -> bool:
    """True if a name that is no path here may be a repository of the hub: ``owner/name``."""
    owner, _, repository = str(name).partition("/")
    return (
        isinstance(name, str)
        and name.lower() not in (known.lower() for known in CHECKPOINTS)
        and bool(owner.strip("~.") and repository and "/" not in repository)
        and Path(name).suffix not in (".pt", ".pth", ".bin", ".safetensors")
    )


def _unknown(name: str | PathLike[str]) -> str:
    names = {
        known.lower(): checkpoint
        for title, checkpoint in CHECKPOINTS.items()
        for known in (title, checkpoint, Path(checkpoint).name)
    }
    near = nearest(str(name).lower(), names, 0.5)
    hint = f"did you mean {names[near]!r}? " if near else ""
    return (
        f"there is no checkpoint, file or folder {str(name)!r}; {hint}expected one of "
        f"{', '.join(CHECKPOINTS.values())}, another repository of the hub (owner/name), or the "
        "path of a folder or file"
    )
