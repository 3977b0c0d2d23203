"""Cases of the contract suite: every method, and the variants that take other paths."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from crossprompt.clip.model import CLIP
from crossprompt.methods import METHODS, Method, build_method
from tests.backbone import NAMES


@dataclass(frozen=True)
class Case:
    """A method with settings."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        options = [f"{key}={value}" for key, value in self.options.items()]
        return "-".join([self.name, *options])

    def build(self, clip: CLIP, seed: int = 1) -> Method:
        """For ``NAMES``."""
        return build_method(self.name, clip, NAMES, seed=seed, **self.options)


TEMPLATES = ("a photo of a {}.", "red {}")
VARIANTS = (
    Case("zero_shot", {"template": TEMPLATES}),
    Case("tip_adapter", {"passes": 0, "template": TEMPLATES}),
    Case("tip_adapter_f", {"passes": 2, "alpha": 3.0, "beta": 5.0}),
    Case("clip_adapter", {"ratio": 0.6, "reduction": 2}),
    Case("taskres", {"scale": 1.0, "template": TEMPLATES}),
    Case("coop", {"class_specific": True, "length": 3}),
    Case("coop", {"initial_words": "a photo of a", "length": 4}),
    Case("cocoop", {"initial_words": "", "length": 3, "reduction": 4}),
    Case("kgcoop", {"initial_words": "", "length": 3}),
    Case("prograd", {"initial_words": "", "length": 3}),
    Case("vpt", {"deep": False, "length": 3, "template": TEMPLATES}),
    Case("ivlp", {"depth": 2, "initial_words": "", "length": 3}),
    Case("maple", {"depth": 1, "length": 3}),
    Case("promptsrc", {"ensemble": TEMPLATES, "depth": 2, "length": 2}),
    Case("clip_lora", {"dropout": 0.0, "rank": 4}),
    Case("dcp", {"variant": "released", "length": 4}),
    Case("dcp", {"share": False, "length": 2}),
    Case("dcp", {"fuse": "max", "length": 4}),
    Case("hicropl", {"length": 2, "initial_words": "a photo of a", "turn": 2}),
    Case("pmpo", {"prompts": 2, "template_weight": 0.5, "template": TEMPLATES}),
    Case("mmap", {"group_length": 2, "depth": 2}),
    Case("dcp", {"fuse": "first", "initial_words": "a photo of a", "length": 4}),
)
CASES = (*(Case(name) for name in METHODS), *VARIANTS)


def cases(exceptions: Mapping[str, str] | None = None) -> pytest.MarkDecorator:
    """Run a test on every case; the exceptions must fail in it.

    Args:
        exceptions: how the name of a case begins (a method, or a method with its first setting) to
            the reason why it cannot pass; with "by default" after it, that method without settings.
    """
    return pytest.mark.parametrize(
        "case",
        [pytest.param(case, id=str(case), marks=_marks(case, exceptions or {})) for case in CASES],
    )


def _marks(case: Case, exceptions: Mapping[str, str]) -> list[pytest.MarkDecorator]:
    return [
        pytest.mark.xfail(strict=True, reason=reason)
        for beginning, reason in exceptions.items()
        if f"{case}-".startswith(f"{beginning}-") or beginning == f"{case} by default"
    ]
