"""What every command says of Ray alike."""

import argparse
from collections.abc import Sequence

from crossprompt.errors import RequestError

LOCAL, RAY = "local", "ray"


def add_engine(group: argparse._ArgumentGroup, local: str, ray: str) -> None:
    """``--engine``, and where Ray's cluster is.

    Args:
        group: of options.
        local: what the engine ``local`` is, in words.
        ray: what ``ray`` is.
    """
    group.add_argument(
        "--engine",
        default=LOCAL,
        choices=(LOCAL, RAY),
        help=f"{local}, or {ray} (default: {LOCAL})",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="a running Ray cluster, auto for this machine's (default: one is started)",
    )


def check_local(options: argparse.Namespace, of_ray: Sequence[str]) -> None:
    """``RequestError`` if an option of Ray's was given to the engine ``local``.

    Args:
        options: that were given.
        of_ray: names of those that mean nothing to another engine.
    """
    if options.engine != LOCAL:
        return
    if ignored := [name for name in of_ray if getattr(options, name) is not None]:
        word = ignored[0].replace("_", "-")
        raise RequestError(f"--{word} goes with --engine {RAY}; add that, or leave it out")
