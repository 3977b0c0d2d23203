"""The public names: imported when they are asked for, and what they say they are."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import crossprompt


def names_for_type_checkers() -> dict[str, str]:
    tree = ast.parse(Path(crossprompt.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_and_python_see_the_same_names() -> None:
    assert names_for_type_checkers() == crossprompt.HOMES
    assert set(crossprompt.__all__) == set(crossprompt.HOMES)


@pytest.mark.parametrize("name", crossprompt.HOMES)
def test_a_public_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(crossprompt, name)
    assert found is getattr(import_module(crossprompt.HOMES[name]), name)
    assert name in dir(crossprompt)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'crossprompt' has no attribute 'freese'"):
        crossprompt.freese  # noqa: B018


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_a_function_is_not_replaced_by_the_module_of_its_name(name: str) -> None:
    module = import_module(f"crossprompt.{name}")
    setattr(crossprompt, name, module)  # as an import does
    found: dict[str, object] = {}
    exec(f"from crossprompt import *; from crossprompt import {name} as again", found)
    assert getattr(crossprompt, name) is found[name] is found["again"] is getattr(module, name)


def test_other_modules_are_attributes_as_ever() -> None:
    assert crossprompt.clip is import_module("crossprompt.clip")
