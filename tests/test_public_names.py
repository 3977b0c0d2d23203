"""Public names are imported on first use, and are what the stub says."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import crossprompt

STUB = Path(crossprompt.__file__).with_suffix(".pyi")
HOMES = {
    alias.name: f"crossprompt.{node.module}"
    for node in ast.walk(ast.parse(STUB.read_text("utf-8")))
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}


def test_every_name_of_the_stub_is_public() -> None:
    assert set(crossprompt.__all__) == set(HOMES)


@pytest.mark.parametrize("name", HOMES)
def test_a_public_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(crossprompt, name)
    assert found is getattr(import_module(HOMES[name]), name)
    assert name in dir(crossprompt)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="freese"):
        crossprompt.freese  # noqa: B018


def test_subpackages_are_attributes() -> None:
    assert crossprompt.clip is import_module("crossprompt.clip")
