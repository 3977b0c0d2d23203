"""Settings classes: types, names, help and JSON."""

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from crossprompt.errors import RequestError
from crossprompt.methods import METHODS
from crossprompt.training.config import TrainConfig
from crossprompt.utils.config import Settings
from tests.unchecked import made


@dataclass(frozen=True)
class Base(Settings):
    """Settings of a base."""

    length: int = 4
    """How many, counted from the
    first."""


@dataclass(frozen=True)
class Example(Base):
    """One field of every type that settings use."""

    rate: float | None = None
    """Some number."""
    variant: Literal["plain", "fancy"] = "plain"
    """Which one."""
    words: tuple[str, ...] = ("a", "b")
    """Some texts."""
    share: bool = True
    """Whether to share."""
    name: str | None = None
    """Some text."""


def test_every_field_is_described_by_its_docstring_in_one_line() -> None:
    described = {setting.name: setting for setting in Example.describe()}
    assert described["length"].help == "How many, counted from the first."
    assert described["rate"].default is None
    assert described["rate"].choices is None
    assert described["variant"].choices == ("plain", "fancy")
    assert list(described) == ["length", "rate", "variant", "words", "share", "name"]


@pytest.mark.parametrize("settings", [TrainConfig, *(m.Config for m in METHODS.values())])
def test_every_setting_of_the_package_has_a_help_and_a_default_of_its_type(settings) -> None:
    for setting in settings.describe():
        assert setting.help.endswith("."), f"{settings.__qualname__}.{setting.name} has no help"
    assert settings.of({s.name: s.default for s in settings.describe()}, "x") == settings()


def test_values_of_every_type_are_taken_and_come_back_from_json() -> None:
    options = {"rate": 1, "variant": "fancy", "words": ["c"], "share": False, "name": "n"}
    example = Example.of(options, "example")
    assert (example.rate, type(example.rate), example.words) == (1.0, float, ("c",))
    assert Example.of(example.to_json(), "example") == example
    assert Example.of({"rate": None}, "example") == Example()
    own = Example.of({"length": np.int64(3), "rate": np.float32(0.5)}, "example")
    assert json.loads(json.dumps(own.to_json()))["length"] == 3
    assert (type(own.length), own.rate, type(own.rate)) == (int, 0.5, float)
    assert type(made(TrainConfig, epochs=np.int64(2)).epochs) is int


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"length": 1.5}, "example: length is 1.5, expected a whole number"),
        ({"length": True}, "example: length is True, expected a whole number"),
        ({"length": None}, "example: length is None, expected a whole number"),
        ({"rate": "fast"}, "example: rate is 'fast', expected a number or nothing"),
        ({"rate": False}, "example: rate is False, expected a number or nothing"),
        ({"variant": "odd"}, "example: variant is 'odd', expected plain or fancy"),
        ({"words": "c"}, "example: words is 'c', expected a list of a text"),
        ({"words": [1]}, r"example: words is \[1\], expected a list of a text"),
        ({"share": 1}, "example: share is 1, expected true or false"),
        ({"name": 1}, "example: name is 1, expected a text or nothing"),
        ({"lenght": 3}, r"example has no setting 'lenght'; did you mean 'length'\?"),
        ({"zzz": 3}, "example has no setting 'zzz'; it has length, rate, variant, words, share,"),
    ],
)
def test_a_wrong_option_says_what_was_found_and_expected(options, told) -> None:
    with pytest.raises(RequestError, match=told):
        Example.of(options, "example")


def test_an_option_of_a_class_without_settings_says_that_it_has_none() -> None:
    with pytest.raises(RequestError, match="x has no setting 'length'; it has none"):
        Settings.of({"length": 1}, "x")


def test_settings_work_where_their_source_cannot_be_read() -> None:
    code = """
from dataclasses import dataclass
from crossprompt.utils.config import Settings
@dataclass(frozen=True)
class Typed(Settings):
    length: int = 4
    "How many."
assert Typed.of({"length": 5}, "typed").length == 5
assert Typed.describe()[0].help == ""
"""
    namespace: dict[str, object] = {"__name__": "typed_at_a_prompt"}
    exec(code, namespace)
