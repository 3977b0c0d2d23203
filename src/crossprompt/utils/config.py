"""Settings as frozen dataclasses: one source of options, help, validation and saved JSON."""

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from crossprompt.errors import RequestError
from crossprompt.utils.text import did_you_mean, one_line

Chosen = TypeVar("Chosen", bound="Settings")


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
        """Check a value and convert it to the type of the setting.

        Args:
            value: from Python or JSON; numpy's scalars count as numbers.
            label: names the setting in an error.
            strict: refuse a text in place of a number or a switch.

        Raises:
            RequestError: the value is of another type.
        """
        number = value
        if isinstance(value, Real) and not isinstance(value, bool):
            number = int(value) if isinstance(value, Integral) else float(value)
        try:
            return msgspec.convert(number, self.type, strict=strict)
        except msgspec.ValidationError as error:
            plain = self.type.__name__ if isinstance(self.type, type) else str(self.type)
            expected = " or ".join(self.choices) or plain
            raise RequestError(f"{label} is {value!r}, expected {expected}") from error

    def parse(self, text: str | bool | Sequence[str], label: str) -> Any:
        """Convert a text as a user types it, or several of a setting that takes several.

        Args:
            text: ``on`` and ``off`` stand for true and false.
            label: names the setting in an error.

        Raises:
            RequestError: the text is no value of the setting.
        """
        if self.kind is bool and isinstance(text, str):
            text = {"on": "true", "off": "false"}.get(text.lower(), text)
        return self.convert(text, label, strict=False)


@dataclass(frozen=True)
class Settings:
    """Base of settings classes: every field has a default, and a docstring that is its help."""

    @classmethod
    def describe(cls) -> list[Setting]:
        """Every field with its type, default and help."""
        helps = _field_docstrings(cls)
        return [replace(found, help=helps.get(found.name, "")) for found in cls._settings()]

    @classmethod
    def _settings(cls) -> list[Setting]:
        """Every field without its help, which takes reading the source."""
        types = get_type_hints(cls)
        return [Setting(f.name, types[f.name], f.default) for f in fields(cls)]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def of(cls: type[Chosen], options: Mapping[str, Any], owner: str) -> Chosen:
        """Build from options by name.

        Args:
            options: field name to value.
            owner: names the settings' owner in an error.

        Raises:
            RequestError: an option is unknown, or its value is of the wrong type or out of range.
        """
        known = {setting.name: setting for setting in cls._settings()}
        for name in options:
            if name not in known:
                hint = did_you_mean(name, known, f"it has {', '.join(known) or 'none'}")
                raise RequestError(f"{owner} has no setting {name!r}; {hint}")
        return cls(**{k: known[k].convert(v, f"{owner}: {k}") for k, v in options.items()})

    def convert_fields(self, owner: str) -> None:
        """Check and convert the fields of an instance that was not built by ``of``.

        Args:
            owner: names the settings' owner in an error.

        Raises:
            RequestError: a value is of the wrong type.
        """
        for setting in self._settings():
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
