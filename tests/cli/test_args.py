"""Settings classes as options."""

import argparse
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from crossprompt.cli.args import add_settings, collect
from crossprompt.cli.main import build_parser
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS
from crossprompt.utils.config import Settings


@dataclass(frozen=True)
class Example(Settings):
    """A field of every type."""

    length: int = 4
    """tokens, in 100 % of cases."""
    learning_rate: float | None = None
    """Rate of learning."""
    variant: Literal["plain", "fancy"] = "plain"
    """Variant of it."""
    words: tuple[str, ...] = ("a", "b")
    """Words."""
    share: bool = True
    """SGD's own."""


def parse(arguments: str, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_settings(parser, Example, "example", skip)
    return collect(parser.parse_args(arguments.split()), Example, skip)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("--length 4", {"length": 4}),
        ("--learning-rate 1e-3", {"learning_rate": 0.001}),
        ("--variant fancy", {"variant": "fancy"}),
        ("--words c d", {"words": ("c", "d")}),
        ("--share", {"share": True}),
        ("--no-share", {"share": False}),
    ],
)
def test_what_the_user_gave_is_collected_and_nothing_else(arguments, expected) -> None:
    assert parse(arguments) == expected
    assert Example.of(parse(arguments), "example")


def test_a_skipped_field_is_no_option() -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parse("--length 3", skip=("length",))


@pytest.mark.parametrize("arguments", ["--length three", "--learning-rate fast"])
def test_a_text_that_is_no_value_of_its_option_is_named(arguments) -> None:
    option, text = arguments.split()
    with pytest.raises(RequestError, match=f"{option} is '{text}'"):
        parse(arguments)


def test_help_and_defaults_are_those_of_the_fields() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser, Example, "example")
    shown = " ".join(parser.format_help().split())
    assert "tokens, in 100 % of cases (default: 4)" in shown
    assert "--variant {plain,fancy} variant of it (default: plain)" in shown
    assert "words (default: a b)" in shown
    assert "--share, --no-share SGD's own (default: on)" in shown
    assert "--learning-rate FLOAT rate of learning " in shown + " "


@pytest.mark.parametrize("method", METHODS)
def test_the_options_of_fit_are_the_settings_of_its_method(method) -> None:
    parser = build_parser(["fit", "x", "--method", method])
    offered = parser.parse_args(["fit", "x", "--method", method]).offered
    for name, other in METHODS.items():
        own = {f"--{setting.name.replace('_', '-')}" for setting in other.Config.describe()}
        shared = own & {
            f"--{setting.name.replace('_', '-')}" for setting in METHODS[method].Config.describe()
        }
        assert own & set(offered) == (own if name == method else shared)


@pytest.mark.parametrize("method", METHODS)
def test_the_help_of_fit_says_in_what_a_method_is_not_the_authors(method, capsys) -> None:
    arguments = ["fit", "--help", "--method", method]
    with pytest.raises(SystemExit):
        build_parser(arguments).parse_args(arguments)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"method {method} ({METHODS[method].fidelity})" in shown
    assert METHODS[method].difference in shown
