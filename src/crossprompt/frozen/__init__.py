"""Frozen forms: what is left of a trained method, enough to score an image without text."""

from crossprompt.frozen.adapter import Adapter
from crossprompt.frozen.base import FeatureHead, Frozen, check_tensors
from crossprompt.frozen.blended import Blended
from crossprompt.frozen.cache import Cache
from crossprompt.frozen.conditional import Conditional
from crossprompt.frozen.merged import Merged
from crossprompt.frozen.static_prompts import StaticPrompts

FORMS: dict[str, type[Frozen]] = {
    form.form: form for form in (StaticPrompts, Cache, Adapter, Blended, Conditional, Merged)
}
"""Name to class, for loading."""

__all__ = [
    "FORMS",
    "Adapter",
    "Blended",
    "Cache",
    "Conditional",
    "FeatureHead",
    "Frozen",
    "Merged",
    "StaticPrompts",
    "check_tensors",
]
