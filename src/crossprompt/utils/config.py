"""Settings as frozen dataclasses: the one source of options, help, validation and saved JSON."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from crossprompt.errors import RequestError
from crossprompt.utils.text import did_you_mean, one_line

Chosen = TypeVar("Chosen", bound="Settings")


@dataclass(frozen=True)
class Setting:
    """One field of a settings class, as a user meets it."""

    name: str
    """What code and JSON call it; options have ``-`` for ``_``."""
    type: Any
    """As annotated."""
    default: Any
    """Its value where the user says nothing."""
    help: str = ""
    """The docstring of the field."""

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The allowed words, where the type lists them."""
        return get_args(self.type) if get_origin(self.type) is Literal else None


@dataclass(frozen=True)
class Settings:
    """Base of every settings class: fields have defaults, and each a docstring that is its help."""

    @classmethod
    def describe(cls) -> list[Setting]:
        """Every field with its type, default and help."""
        helps = _field_docstrings(cls)
        return [replace(found, help=helps.get(found.name, "")) for found in cls._settings()]

    @classmethod
    def _settings(cls) -> list[Setting]:
        """Every field without its help, for which the source is needed."""
        types = get_type_hints(cls)
        return [Setting(f.name, types[f.name], f.default) for f in fields(cls)]

    @classmethod
    def of(cls: type[Chosen], options: Mapping[str, Any], owner: str) -> Chosen:
        """Build from options by name.

        Args:
            options: field name to value.
            owner: what the settings belong to, for errors.

        Raises:
            RequestError: an option is unknown, or its value is of the wrong type or out of range.
        """
        known = {setting.name: setting for setting in cls._settings()}
        for name, value in options.items():
            if name not in known:
                has = f"it has {', '.join(known) or 'none'}"
                hint = did_you_mean(name, known, has)
                raise RequestError(f"{owner} has no setting {name!r}; {hint}")
            _check_type(value, known[name], owner)
        values = {name: _as(value, known[name].type) for name, value in options.items()}
        return cls(**values)

    def settle_types(self, owner: str) -> None:
        """Check and convert every value, as ``of`` does, where a user may call the class itself.

        Args:
            owner: what the settings belong to, for errors.

        Raises:
            RequestError: a value is of the wrong type.
        """
        for setting in self._settings():
            value = getattr(self, setting.name)
            _check_type(value, setting, owner)
            object.__setattr__(self, setting.name, _as(value, setting.type))

    def to_json(self) -> dict[str, Any]:
        """Field name to value, as saved."""
        return asdict(self)


def require(condition: bool, message: str) -> None:
    """Raise ``RequestError`` with ``message`` unless ``condition``."""
    if not condition:
        raise RequestError(message)


def _check_type(value: Any, setting: Setting, owner: str) -> None:
    if not _is_of(value, setting.type):
        expected = " or ".join(setting.choices or [_type_name(setting.type)])
        raise RequestError(f"{owner}: {setting.name} is {value!r}, expected {expected}")


def _is_of(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin in (Union, UnionType):
        return any(_is_of(value, part) for part in get_args(kind))
    if origin is tuple:
        return isinstance(value, (tuple, list)) and all(_is_of(v, get_args(kind)[0]) for v in value)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    return isinstance(value, NoneType if kind is None else kind)


def _as(value: Any, kind: Any) -> Any:
    """A value that ``_is_of`` its type, as that type: JSON has no tuples and writes 1 for 1.0, and
    numpy has numbers of its own."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, (bool, str, tuple, NoneType)):
        return value
    takes_float = kind is float or float in get_args(kind)
    return float(value) if takes_float else int(value)


def _type_name(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(part) for part in parts)
    if origin is tuple:
        return f"a list of {_type_name(parts[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(kind, "nothing" if kind is NoneType else str(kind))


def _field_docstrings(cls: type) -> dict[str, str]:
    """The string that follows each field, over the class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, Settings):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError):  # typed at a prompt, or packed without its source
            continue
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in pairwise(statements):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[field.target.id] = one_line(text.value.value)
    return found
