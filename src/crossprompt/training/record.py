"""Record of everything that a result depends on, and its comparison when a run is resumed."""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods.base import Method, Recipe
from crossprompt.utils import distributed

LIBRARIES = ("crossprompt", "torch", "numpy", "pillow", "scikit-learn")
"""Libraries whose versions may change the last bits of a result."""
LONGEST, MOST = 30, 10
"""Characters of a value, and number of differences, that an error shows."""


def library_versions() -> dict[str, str]:
    """Versions of ``LIBRARIES`` and Python."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def build_record(
    method: Method, clip: CLIP, recipe: Recipe, seed: int, **more: Any
) -> dict[str, Any]:
    """Collect everything that a bit-identical result depends on, as plain values.

    Activation checkpointing is left out: it changes no bit (texts in parts agree to rounding), and
    a run may be resumed on a machine with less memory.
    """
    record = {
        "method": method.name,
        "config": method.config.to_json(),
        "seed": seed,
        "training": recipe_to_json(recipe, seed),
        "class_names": list(method.class_names),
        "weights": clip.weights_hash,
        "dtype": str(clip.dtype).removeprefix("torch."),
        "device": clip.device.type,
        "processes": distributed.processes(),
        **more,
    }
    return plain(record)


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as JSON holds it, with lists for tuples."""
    decoded: dict[str, Any] = json.loads(json.dumps(record))
    return decoded


def recipe_to_json(recipe: Recipe, seed: int) -> dict[str, Any]:
    """Every setting of a training; only the seed where nothing is trained by gradient."""
    if not recipe.epochs:
        return {"epochs": 0, "seed": seed}
    # files have the key "optimiser" since format 1
    settings = {("optimiser" if k == "optimizer" else k): x for k, x in asdict(recipe).items()}
    return {**settings, "seed": seed}


def check_record(place: object, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare the record of a run that is to be resumed with that of the present one.

    Raises:
        RequestError: they differ.
    """
    advice = "resume it with those it was begun with, or start afresh with --overwrite"
    was, now = dict(earlier), dict(now)
    same_data = was.pop("data", None) == now.pop("data", None)  # hashes, of no use to a reader
    if changed := list(differences(was, now)):
        more = [f"and {len(changed) - MOST} more"] * (len(changed) > MOST)
        raise RequestError(
            f"{place} was begun with other settings: {'; '.join([*changed[:MOST], *more])}; "
            f"{advice} (resume=False)"
        )
    if not same_data:
        raise RequestError(
            f"the images are not those that {place} was begun with: their names, number, labels or "
            f"contents differ; {advice} (resume=False)"
        )


def differences(was: Any, now: Any, name: str = "") -> Iterator[str]:
    """List the differences of two trees of plain values, for example ``lr 0.002, now 0.01``."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*was, *now)):
            yield from differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif was != now:
        yield f"{name} {_shorten(was)}, now {_shorten(now)}"


def _shorten(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
