"""One trace and one file for every method, on the smallest towers that have something to write."""

from functools import cache

from crossprompt.clip.model import CLIP
from tests.backbone import with_blocks
from tests.clip.random_clip import make_clip


@cache
def narrow_clip() -> CLIP:
    """Two narrow blocks a tower: an export takes two seconds, most of it by the block."""
    return make_clip(with_blocks(2))
