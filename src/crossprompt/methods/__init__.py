"""The methods, one file each. Being in ``METHODS`` means passing every generic test."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import torch

from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods.base import Method, Recipe
from crossprompt.methods.coop import CoOp
from crossprompt.methods.dcp import DCP
from crossprompt.methods.linear_probe import LinearProbe
from crossprompt.methods.zero_shot import ZeroShot

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (ZeroShot, LinearProbe, CoOp, DCP)
}
"""Name to class."""


def find_method(name: str) -> type[Method]:
    """The class called ``name``; ``RequestError`` with the nearest names if there is none."""
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(METHODS)}"
        raise RequestError(f"there is no method {name!r}; {hint}")
    return METHODS[name]


def build_method(
    name: str, clip: CLIP, class_names: Sequence[str], *, seed: int = 1, **options: Any
) -> Method:
    """Set up a method for a backbone and its classes.

    Args:
        name: one of ``METHODS``.
        clip: the frozen backbone.
        class_names: in the order of the labels; at least two, all different.
        seed: of every random start value; the same seed gives the same method.
        options: settings of the method, see its ``Config``.

    Raises:
        RequestError: an unknown method, an unknown or impossible setting, or unusable class names.
    """
    method = find_method(name)
    _check_names(class_names)
    config = method.Config.of(options, name)
    with torch.random.fork_rng(devices=[]):  # modules draw from the global generator
        torch.manual_seed(seed)
        return method(clip, class_names, config).to(clip.device)


def _check_names(class_names: Sequence[str]) -> None:
    if len(class_names) < 2:
        raise RequestError(
            f"found {len(class_names)} class ({', '.join(class_names)}), expected at least two to tell apart"
        )
    repeated = sorted({name for name in class_names if list(class_names).count(name) > 1})
    if repeated:
        raise RequestError(f"class name {repeated[0]!r} stands for more than one class; rename one")


__all__ = ["METHODS", "Method", "Recipe", "build_method", "find_method"]
