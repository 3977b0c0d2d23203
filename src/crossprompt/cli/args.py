"""Options that several commands share, and settings classes as options."""

import argparse
from collections.abc import Sequence
from textwrap import fill
from typing import Any, get_origin

from crossprompt.errors import RequestError
from crossprompt.inference.base import BATCH
from crossprompt.utils.config import Setting, Settings

LOCAL, RAY = "local", "ray"


def add_engine(
    group: argparse._ArgumentGroup, *, engine: str, workers: str, threads: str, gpus: str
) -> None:
    """Add the engine, its cluster and the resources of each worker, with their help."""
    group.add_argument(
        "--engine",
        default=LOCAL,
        choices=(LOCAL, RAY),
        help=f"{engine} (default: {LOCAL})",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="a running Ray cluster, auto for this machine's (default: one is started)",
    )
    group.add_argument("--workers", type=positive, metavar="INT", help=workers)
    group.add_argument("--threads", type=positive, metavar="INT", help=threads)
    group.add_argument("--gpus", type=not_negative, metavar="FLOAT", help=gpus)


def refuse_ray_options(options: argparse.Namespace, of_ray: Sequence[str]) -> None:
    """``RequestError`` if an option of Ray was given to the engine ``local``.

    Args:
        options: as parsed.
        of_ray: names of the options that only Ray uses.
    """
    if options.engine != LOCAL:
        return
    if ignored := [name for name in of_ray if getattr(options, name) is not None]:
        option = ignored[0].replace("_", "-")
        raise RequestError(f"--{option} goes with --engine {RAY}; add that, or leave it out")


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--dtype",
        default="auto",
        help="auto (bf16 where the hardware has it), fp32, bf16 or fp16 (default: auto)",
    )


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=BATCH,
        metavar="INT",
        help=f"images per batch (default: {BATCH})",
    )


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def not_negative(text: str) -> float:
    try:
        if 0 <= (number := float(text)) < float("inf"):
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")


WIDTH = 76
"""Characters per line of a help text that argparse does not wrap."""


def add_settings(
    parser: argparse.ArgumentParser,
    settings: type[Settings],
    title: str,
    skip: tuple[str, ...] = (),
    about: str | None = None,
) -> None:
    """Add one option per setting, in a group with a title and a description; ``skip`` names the
    settings with an option elsewhere. Values are checked by ``collect``."""
    offered = [setting for setting in settings.describe() if setting.name not in skip]
    about = None if about is None else fill(about, WIDTH)
    group = parser.add_argument_group(title, about) if offered else parser
    for setting in offered:
        group.add_argument(
            _option(setting),
            dest=setting.name,
            default=argparse.SUPPRESS,
            help=f"{_help(setting)}{_default(setting)}".replace("%", "%%"),
            **_form(setting),
        )


def collect(
    options: argparse.Namespace, settings: type[Settings], skip: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The settings that the user gave; ``RequestError`` if a text is no value of its setting."""
    given = [s for s in settings.describe() if s.name not in skip and hasattr(options, s.name)]
    return {s.name: s.convert(getattr(options, s.name), _option(s), strict=False) for s in given}


def _option(setting: Setting) -> str:
    return f"--{setting.name.replace('_', '-')}"


def _form(setting: Setting) -> dict[str, Any]:
    if setting.kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if setting.choices:
        return {"choices": setting.choices}
    if get_origin(setting.kind) is tuple:
        return {"nargs": "+", "metavar": setting.name.upper()}
    return {"metavar": setting.kind.__name__.upper()}


def _help(setting: Setting) -> str:
    """The docstring in argparse's style: no capital, no full stop."""
    text = setting.help.rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _default(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        value = "on" if value else "off"
    text = " ".join(value) if isinstance(value, tuple) else value
    return "" if value is None else f" (default: {text})"
