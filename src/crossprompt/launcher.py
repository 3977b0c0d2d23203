"""What a launcher of several processes says in the environment, also before they have joined."""

import os
from collections.abc import Sequence

SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Environment variables that say how many processes a launcher has started."""
RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
"""Those that say which of them this one is."""


def from_launcher(names: Sequence[str], default: int) -> int:
    """The number in the first of the variables that is set."""
    return next((int(os.environ[name]) for name in names if name in os.environ), default)


def speaks() -> bool:
    """Whether this process is the one that talks to the user, also before it has joined."""
    return from_launcher(RANKS, 0) == 0
