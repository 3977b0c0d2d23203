"""Settings classes as command-line options."""

import argparse
from textwrap import fill
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from crossprompt.settings import Setting, Settings

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
