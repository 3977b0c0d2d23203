"""Settings classes as command-line options."""

import argparse
from collections.abc import Sequence
from textwrap import fill
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

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
    """Where, and in what, to compute."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--dtype",
        default="auto",
        help="auto (bf16 where the hardware has it), fp32, bf16 or fp16 (default: auto)",
    )


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    """How many images to classify at a time."""
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=BATCH,
        metavar="INT",
        help=f"images at a time (default: {BATCH})",
    )


def positive(word: str) -> int:
    """The whole number above 0 that a word says."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number above 0")
    return int(word)


def not_negative(word: str) -> float:
    """The number of 0 or more that a word says."""
    try:
        if 0 <= (number := float(word)) < float("inf"):
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{word!r} is not a number of 0 or more")


WIDTH = 76
"""Letters in a line of the help that argparse does not break."""


def add_settings(
    parser: argparse.ArgumentParser,
    settings: type[Settings],
    title: str,
    skip: tuple[str, ...] = (),
    about: str | None = None,
) -> None:
    """Add one option per field; an option that is not given leaves no trace.

    Args:
        parser: of the command.
        settings: whose fields they are.
        title: of the group in the help.
        skip: fields that have an option elsewhere.
        about: what the help says below the title.
    """
    shown = [setting for setting in settings.describe() if setting.name not in skip]
    about = None if about is None else fill(about, WIDTH)
    group = parser.add_argument_group(title, about) if shown else parser
    for setting in shown:
        group.add_argument(
            f"--{setting.name.replace('_', '-')}",
            dest=setting.name,
            default=argparse.SUPPRESS,
            help=f"{_help(setting)}{_default(setting)}".replace("%", "%%"),
            **_kind(setting),
        )


def collect(
    options: argparse.Namespace, settings: type[Settings], skip: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields that the user gave.

    Args:
        options: what was parsed.
        settings: whose fields they are.
        skip: fields that have an option elsewhere.
    """
    names = [setting.name for setting in settings.describe() if setting.name not in skip]
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def _kind(setting: Setting) -> dict[str, Any]:
    kind = setting.type
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    if get_origin(kind) is tuple:
        return {"nargs": "+", "type": get_args(kind)[0], "metavar": setting.name.upper()}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": kind, "metavar": kind.__name__.upper()}


def _help(setting: Setting) -> str:
    """The field's sentence as argparse writes its own: from a small letter on, without a stop."""
    text = setting.help.rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _default(setting: Setting) -> str:
    match setting.default:
        case None:
            return ""
        case bool(value):
            return f" (default: {'on' if value else 'off'})"
        case tuple(values):
            return f" (default: {' '.join(values)})"
    return f" (default: {setting.default})"
