"""A method with settings, as it is typed: ``dcp:variant=released,epochs=30``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from crossprompt.errors import RequestError
from crossprompt.methods import find_method
from crossprompt.training.config import TrainConfig
from crossprompt.utils.config import Setting
from crossprompt.utils.text import did_you_mean

SEPARATOR = "|"
"""Between the values of a setting that takes several."""
OF_METHOD, OF_TRAINING = "method", "training"
"""In front of the name of a setting that both have, as in ``training.lr``."""


@dataclass(frozen=True)
class Choice:
    """A method and what was set for it."""

    method: str
    """One of ``METHODS``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of its training."""


def parse_method(word: str) -> Choice:
    """Read a method with settings.

    Args:
        word: ``NAME`` or ``NAME:SETTING=VALUE,SETTING=VALUE``; a comma that is not followed by a
            name and ``=`` belongs to the value; several values are separated by ``|``.

    Raises:
        RequestError: an unknown method, or a setting that is unknown, ambiguous or not understood.
    """
    name, _, settings = word.partition(":")
    method = find_method(name)
    owners: dict[str, dict[str, Setting]] = {
        OF_METHOD: {setting.name: setting for setting in method.Config.describe()},
        OF_TRAINING: {s.name: s for s in TrainConfig.describe() if s.name != "seed"},
    }
    found: dict[str, dict[str, Any]] = {OF_METHOD: {}, OF_TRAINING: {}}
    for pair in re.split(r",(?=[\w.-]+=)", settings) if settings else []:
        key, equals, text = pair.partition("=")
        if not equals:
            raise RequestError(f"{word!r}: {pair!r} is no setting; expected NAME=VALUE")
        owner, setting = _find(key.replace("-", "_"), owners, name)
        found[owner][setting.name] = _value(text, setting, name)
    method.Config.of(found[OF_METHOD], name)
    return Choice(name, found[OF_METHOD], found[OF_TRAINING])


def _find(
    key: str, owners: Mapping[str, Mapping[str, Setting]], method: str
) -> tuple[str, Setting]:
    prefix, _, rest = key.rpartition(".")
    places = [prefix] if prefix in owners else list(owners)
    name = rest if prefix in owners else key
    having = [place for place in places if name in owners[place]]
    if len(having) == 1:
        return having[0], owners[having[0]][name]
    if having:
        raise RequestError(
            f"{method} and its training both have a setting {name!r}; write "
            f"{' or '.join(f'{place}.{name}' for place in having)}"
        )
    if name == "seed":
        raise RequestError(f"{method}: the seed is no setting of a method here; use --seeds")
    known = [name for place in places for name in owners[place]]
    hint = did_you_mean(name, known)
    raise RequestError(f"neither {method} nor its training has a setting {key!r}; {hint}")


def _value(text: str, setting: Setting, method: str) -> Any:
    """The value that a text says; whether it is possible, the settings class checks."""
    kind = setting.type
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is tuple:
        return tuple(text.split(SEPARATOR))
    if kind is bool:
        values = {"true": True, "on": True, "false": False, "off": False}
        if text.lower() in values:
            return values[text.lower()]
        raise RequestError(f"{method}: {setting.name} is {text!r}, expected true or false")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            expected = "a whole number" if kind is int else "a number"
            raise RequestError(
                f"{method}: {setting.name} is {text!r}, expected {expected}"
            ) from None
    return text
