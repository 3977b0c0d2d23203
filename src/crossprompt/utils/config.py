"""Settings as frozen dataclasses: one source of options, help, validation and saved JSON."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import pairwise
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from crossprompt.errors import RequestError
from crossprompt.utils.text import did_you_mean, one_line

Chosen = TypeVar("Chosen", bound="Settings")


KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}
"""Types in an error's words."""


@dataclass(frozen=True)
class Setting:
    """One field of a settings class."""

    name: str
    """Name in code and JSON; options have ``-`` for ``_``."""
    type: Any
    default: Any
    help: str = ""
    """Docstring of the field."""

    @property
    def kind(self) -> Any:
        """The type without ``| None``."""
        parts = get_args(self.type)
        return parts[0] if NoneType in parts else self.type

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed values of a ``Literal``; empty for any other type."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def convert(self, value: Any, label: str, *, strict: bool = True) -> Any:
        """Check a value and convert it to the type of the setting; numpy's scalars are numbers.

        Unless ``strict``, a user's text may be a number, and on, off, true or false a boolean.
        ``label`` names the setting in an error.

        Raises:
            RequestError: the value is of another type.
        """
        plain = value
        if isinstance(value, Real) and not isinstance(value, bool):
            plain = int(value) if isinstance(value, Integral) else float(value)
        if self.kind is bool and isinstance(value, str):
            plain = {"on": "true", "off": "false"}.get(value.lower(), value)
        try:
            return msgspec.convert(plain, self.type, strict=strict)
        except msgspec.ValidationError as error:
            expected = " or ".join(self.choices) or KINDS.get(self.kind, str(self.kind))
            raise RequestError(f"{label} is {value!r}, expected {expected}") from error


@dataclass(frozen=True)
class Settings:
    """Base of settings classes: every field has a default, and a docstring that is its help."""

    @classmethod
    @cache
    def describe(cls) -> tuple[Setting, ...]:
        """Every field with its type, default and help."""
        types, helps = get_type_hints(cls), _field_docstrings(cls)
        return tuple(
            Setting(f.name, types[f.name], f.default, helps.get(f.name, "")) for f in fields(cls)
        )

    @classmethod
    def of(cls: type[Chosen], options: Mapping[str, Any], owner: str) -> Chosen:
        """Build from options by name; ``owner`` names the settings' owner in an error.

        Raises:
            RequestError: an option is unknown, or its value is of the wrong type or out of range.
        """
        known = {setting.name: setting for setting in cls.describe()}
        for name in options:
            if name not in known:
                hint = did_you_mean(name, known, f"it has {', '.join(known) or 'none'}")
                raise RequestError(f"{owner} has no setting {name!r}; {hint}")
        return cls(**{k: known[k].convert(v, f"{owner}: {k}") for k, v in options.items()})

    def convert_fields(self, owner: str) -> None:
        """Check and convert the fields of an instance that was not built by ``of``."""
        for setting in self.describe():
            value = setting.convert(getattr(self, setting.name), f"{owner}: {setting.name}")
            object.__setattr__(self, setting.name, value)

    def to_json(self) -> dict[str, Any]:
        """Field name to value, as saved."""
        return asdict(self)


def require(condition: bool, message: str) -> None:
    """Raise ``RequestError`` with ``message`` unless ``condition``."""
    if not condition:
        raise RequestError(message)


def _field_docstrings(cls: type) -> dict[str, str]:
    """The string after each field, over the class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, Settings):
            continue
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError):  # typed at a prompt, or packed without its source
            continue
        for field, text in pairwise(body.body if isinstance(body, ast.ClassDef) else []):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=docstring)),
                ):
                    found[name] = one_line(docstring)
    return found
