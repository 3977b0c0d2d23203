"""Frozen forms of trained methods, which score an image without the method."""

from crossprompt.methods.heads.adapter import Adapter as Adapter
from crossprompt.methods.heads.base import FeatureHead as FeatureHead
from crossprompt.methods.heads.base import Frozen as Frozen
from crossprompt.methods.heads.base import check_tensors as check_tensors
from crossprompt.methods.heads.blended import Blended as Blended
from crossprompt.methods.heads.cache import Cache as Cache
from crossprompt.methods.heads.conditional import Conditional as Conditional
from crossprompt.methods.heads.merged import Merged as Merged
from crossprompt.methods.heads.static_prompts import StaticPrompts as StaticPrompts

FORMS: dict[str, type[Frozen]] = {
    form.form: form for form in (StaticPrompts, Cache, Adapter, Blended, Conditional, Merged)
}
"""Name to class, for loading."""
