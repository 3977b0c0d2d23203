"""The methods, one file each; every method in ``METHODS`` passes the contract tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from crossprompt.clip.model import CLIP
from crossprompt.data.class_names import check_class_names
from crossprompt.errors import RequestError
from crossprompt.methods.base import Method as Method
from crossprompt.methods.base import Recipe as Recipe
from crossprompt.methods.clip_adapter import CLIPAdapter
from crossprompt.methods.clip_lora import CLIPLoRA
from crossprompt.methods.cocoop import CoCoOp
from crossprompt.methods.coop import CoOp
from crossprompt.methods.dcp import DCP
from crossprompt.methods.hicropl import HiCroPL
from crossprompt.methods.ivlp import IVLP
from crossprompt.methods.kgcoop import KgCoOp
from crossprompt.methods.linear_probe import LinearProbe
from crossprompt.methods.maple import MaPLe
from crossprompt.methods.mmap import MmAP
from crossprompt.methods.pmpo import PMPO
from crossprompt.methods.prograd import ProGrad
from crossprompt.methods.promptsrc import PromptSRC
from crossprompt.methods.taskres import TaskRes
from crossprompt.methods.tip_adapter import TipAdapter, TipAdapterF
from crossprompt.methods.vpt import VPT
from crossprompt.methods.zero_shot import ZeroShot
from crossprompt.utils.text import did_you_mean

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        ZeroShot,
        LinearProbe,
        TipAdapter,
        TipAdapterF,
        CLIPAdapter,
        TaskRes,
        CoOp,
        CoCoOp,
        KgCoOp,
        ProGrad,
        VPT,
        IVLP,
        MaPLe,
        PromptSRC,
        CLIPLoRA,
        DCP,
        HiCroPL,
        PMPO,
        MmAP,
    )
}
"""Methods by name."""


def find_method(name: str) -> type[Method]:
    """The class called ``name``; ``RequestError`` with the nearest names if there is none."""
    if name not in METHODS:
        raise RequestError(f"there is no method {name!r}; {did_you_mean(name, METHODS)}")
    return METHODS[name]


def build_method(
    name: str, clip: CLIP, class_names: Sequence[str], *, seed: int = 1, **options: Any
) -> Method:
    """Set up a method for a backbone and its classes.

    Args:
        name: one of ``METHODS``.
        clip: the frozen backbone.
        class_names: in the order of the labels; at least two, all different.
        seed: of the initial values; the same seed gives the same method.
        options: settings of the method, see its ``Config``.

    Raises:
        RequestError: an unknown method, an unknown or impossible setting, or unusable class names.
    """
    return find_method(name).build(clip, class_names, options, seed)


def build_hollow(
    name: str, clip: CLIP, class_names: Sequence[str], options: Mapping[str, Any]
) -> Method:
    """``build_method`` on the meta device, for a checkpoint that is loaded with ``assign=True``."""
    method = find_method(name)
    check_class_names(class_names)
    config = method.Config.of(options, name)
    with torch.device("meta"):
        hollow = CLIP(clip.config)
        hollow.tokenizer, hollow.preprocess = clip.tokenizer, clip.preprocess
        return method(hollow, class_names, config)
