"""A method with settings, as it is typed: ``dcp:variant=released,epochs=30``."""

import re
from collections import defaultdict
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


def parse_method(spec: str) -> Choice:
    """Read a method with settings.

    Args:
        spec: ``NAME`` or ``NAME:SETTING=VALUE,SETTING=VALUE``; a comma that is not followed by a
            name and ``=`` belongs to the value; several values are separated by ``|``; a setting
            that the method and its training both have is written as in ``training.lr``.

    Raises:
        RequestError: an unknown method, or a setting that is unknown, ambiguous or not understood.
    """
    name, _, pairs = spec.partition(":")
    method = find_method(name)
    known: dict[str, list[tuple[str, Setting]]] = defaultdict(list)
    for owner, config in (("method", method.Config), ("training", TrainConfig)):
        for setting in config.describe():
            for key in (setting.name, f"{owner}.{setting.name}"):
                known[key].append((owner, setting))
    found: dict[str, dict[str, Any]] = {"method": {}, "training": {}}
    for pair in re.split(r",(?=[\w.-]+=)", pairs) if pairs else []:
        key, equals, text = pair.partition("=")
        key = key.replace("-", "_")
        if not equals:
            raise RequestError(f"{spec!r}: {pair!r} is no setting; expected NAME=VALUE")
        if key.rpartition(".")[2] == "seed":
            raise RequestError(f"{name}: the seed is no setting of a method here; use --seeds")
        if key not in known:
            hint = did_you_mean(key, [x for x in known if ("." in x) == ("." in key)])
            raise RequestError(f"neither {name} nor its training has a setting {key!r}; {hint}")
        if len(known[key]) > 1:
            choices = " or ".join(f"{owner}.{key}" for owner, _ in known[key])
            raise RequestError(f"{name} and its training both have {key!r}; write {choices}")
        ((owner, setting),) = known[key]
        value = text.split(SEPARATOR) if get_origin(setting.kind) is tuple else text
        label = f"{name}: {setting.name}"
        found[owner][setting.name] = setting.convert(value, label, strict=False)
    method.Config.of(found["method"], name)
    return Choice(name, found["method"], found["training"])
