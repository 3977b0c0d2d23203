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
    length: int = 4
    """Tokens, counted from the
    first."""


@dataclass(frozen=True)
class Example(Base):
    """One field of every type that settings use."""

    rate: float | None = None
    """Learning rate."""
    variant: Literal["plain", "fancy"] = "plain"
    """Variant."""
    words: tuple[str, ...] = ("a", "b")
    """Some texts."""
    share: bool = True
    """Share one module."""
    name: str | None = None
    """Some text."""


def test_every_field_is_described_by_its_docstring_in_one_line() -> None:
    described = {setting.name: setting for setting in Example.describe()}
    assert described["length"].help == "Tokens, counted from the first."
    assert described["rate"].default is None
    assert described["rate"].choices == ()
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


def test_numpys_scalars_are_numbers() -> None:
    own = Example.of({"length": np.int64(3), "rate": np.float32(0.5)}, "example")
    assert json.loads(json.dumps(own.to_json()))["length"] == 3
    assert (type(own.length), own.rate, type(own.rate)) == (int, 0.5, float)
    assert type(made(TrainConfig, epochs=np.int64(2)).epochs) is int


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 1.5}, "example: length is 1.5, expected a whole number"),
        ({"length": True}, "length is True"),
        ({"length": None}, "length is None"),
        ({"length": np.float32(2)}, "length is "),
        ({"rate": "fast"}, "rate is 'fast', expected a number"),
        ({"rate": "1"}, "rate is '1'"),
        ({"rate": False}, "rate is False"),
        ({"variant": "odd"}, "variant is 'odd'.*plain.*fancy"),
        ({"words": "c"}, "words is 'c'"),
        ({"words": [1]}, r"words is \[1\]"),
        ({"share": 1}, "share is 1"),
        ({"name": 1}, "name is 1"),
        ({"lenght": 3}, "example .*'lenght'.*'length'"),
        ({"zzz": 3}, "example .*'zzz'.*length, rate, variant, words, share, name"),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_the_expected_type(options, message) -> None:
    with pytest.raises(RequestError, match=message):
        Example.of(options, "example")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("length", "3", 3),
        ("rate", "1e-3", 0.001),
        ("variant", "fancy", "fancy"),
        ("words", ["c", "d"], ("c", "d")),
        ("share", "off", False),
        ("share", "True", True),
        ("name", "3", "3"),
    ],
)
def test_a_setting_is_read_from_text(name, text, expected) -> None:
    (setting,) = (setting for setting in Example.describe() if setting.name == name)
    assert setting.convert(text, "--x", strict=False) == expected


@pytest.mark.parametrize(
    ("name", "text"), [("length", "2.5"), ("rate", "fast"), ("share", "maybe"), ("variant", "odd")]
)
def test_a_text_that_is_no_value_of_its_setting_is_named(name, text) -> None:
    (setting,) = (setting for setting in Example.describe() if setting.name == name)
    with pytest.raises(RequestError, match=f"--x is '{text}'"):
        setting.convert(text, "--x", strict=False)


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
