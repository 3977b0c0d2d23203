"""Options that several commands share, and settings classes as options."""

import argparse
from textwrap import fill
from typing import Any, get_origin

from crossprompt.errors import RequestError
from crossprompt.utils.config import Setting, Settings

LOCAL, RAY = "local", "ray"
Container = argparse._ActionsContainer
"""A parser or a group of its options."""


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


METAVARS = {int: "INT", positive: "INT", not_negative: "FLOAT"}


def add_option(parser: Container, name: str, help: str, default: Any = None, **form: Any) -> None:
    """Add an option; a default is appended to its help, and a number's type is its metavar."""
    if form.get("type") in METAVARS:
        form = {"metavar": METAVARS[form["type"]], **form}
    parser.add_argument(name, help=f"{help}{_default(default)}", default=default, **form)


def add_flag(parser: Container, name: str, help: str) -> None:
    parser.add_argument(name, action="store_true", help=help)


def add_engine(group: Container, *, engine: str, workers: str, threads: str, gpus: str) -> None:
    """Add the engine, its cluster and the resources of each worker, with their help."""
    add_option(group, "--engine", engine, LOCAL, choices=(LOCAL, RAY))
    address = "a running Ray cluster, auto for this machine's (default: one is started)"
    add_option(group, "--ray-address", address, metavar="ADDRESS")
    add_option(group, "--workers", workers, type=positive)
    add_option(group, "--threads", threads, type=positive)
    add_option(group, "--gpus", gpus, type=not_negative)


def check_engine(options: argparse.Namespace, *names: str) -> None:
    """``RequestError`` if one of these options, which only Ray uses, has no effect."""
    for name in names:
        if options.engine == LOCAL and getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise RequestError(f"{option} goes with --engine {RAY}; add that, or leave it out")


def add_device_arguments(parser: Container) -> None:
    add_option(parser, "--device", "auto, cpu, cuda or mps", "auto")
    dtypes = "auto (bf16 where the hardware has it), fp32, bf16 or fp16"
    add_option(parser, "--dtype", dtypes, "auto")


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
            help=f"{_help(setting)}{_default(setting.default)}".replace("%", "%%"),
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


def _default(value: Any) -> str:
    """The end of a help text."""
    if isinstance(value, bool):
        value = "on" if value else "off"
    values = value if isinstance(value, list | tuple) else [value]
    return "" if value is None else f" (default: {' '.join(map(str, values))})"
