"""Frozen forms of trained methods, which score an image without the method."""

from crossprompt.methods.heads.adapter import Adapter
from crossprompt.methods.heads.base import FeatureHead, Frozen, check_tensors
from crossprompt.methods.heads.blended import Blended
from crossprompt.methods.heads.cache import Cache
from crossprompt.methods.heads.conditional import Conditional
from crossprompt.methods.heads.merged import Merged
from crossprompt.methods.heads.static_prompts import StaticPrompts

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
