"""A method with settings, as it is typed: ``dcp:variant=released,epochs=30``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

from crossprompt.errors import RequestError
from crossprompt.methods import find_method
from crossprompt.training.config import TrainConfig
from crossprompt.utils.config import Setting
from crossprompt.utils.text import did_you_mean

SEPARATOR = "|"
"""Between the values of a setting that takes several."""


@dataclass(frozen=True)
class Choice:
    """A method with the user's settings of it and of its training."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


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
    # a setting that both have takes its owner as a prefix, as in training.lr
    owners = {
        "method": {x.name: x for x in method.Config.describe()},
        "training": {x.name: x for x in TrainConfig.describe() if x.name != "seed"},
    }
    found: dict[str, dict[str, Any]] = {owner: {} for owner in owners}
    for pair in re.split(r",(?=[\w.-]+=)", settings) if settings else []:
        key, equals, text = pair.partition("=")
        if not equals:
            raise RequestError(f"{word!r}: {pair!r} is no setting; expected NAME=VALUE")
        owner, setting = _find(key.replace("-", "_"), owners, name)
        value = text.split(SEPARATOR) if get_origin(setting.kind) is tuple else text
        label = f"{name}: {setting.name}"
        found[owner][setting.name] = setting.convert(value, label, strict=False)
    method.Config.of(found["method"], name)
    return Choice(name, found["method"], found["training"])


def _find(
    key: str, owners: Mapping[str, Mapping[str, Setting]], method: str
) -> tuple[str, Setting]:
    prefix, _, name = key.rpartition(".")
    if prefix not in owners:
        prefix, name = "", key
    searched = [prefix] if prefix else list(owners)
    found = [owner for owner in searched if name in owners[owner]]
    if len(found) == 1:
        return found[0], owners[found[0]][name]
    if found:
        choices = " or ".join(f"{owner}.{name}" for owner in found)
        raise RequestError(f"{method} and its training both have {name!r}; write {choices}")
    if name == "seed":
        raise RequestError(f"{method}: the seed is no setting of a method here; use --seeds")
    hint = did_you_mean(name, [known for owner in searched for known in owners[owner]])
    raise RequestError(f"neither {method} nor its training has a setting {key!r}; {hint}")
