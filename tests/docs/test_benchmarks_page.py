"""Listings in docs/benchmarks.md match the registry."""

import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from crossprompt.bench.grid import Cell
from crossprompt.bench.method_spec import parse_method
from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.results import OUTCOMES, RunState
from crossprompt.cli.main import build_parser

BENCHMARKS = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", BENCHMARKS.read_text("utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("crossprompt ")]


@pytest.mark.parametrize("command", commands())
def test_the_command_line_takes_what_the_benchmarks_page_shows(command) -> None:
    words = shlex.split(command, comments=True)[1:]
    options = build_parser(words).parse_args(words)
    if words[0] == "bench":
        assert [parse_method(word).method for word in options.methods]


def test_there_are_commands_to_check() -> None:
    assert len(commands()) == 7


def test_the_page_names_every_protocol_and_every_key_of_a_cell() -> None:
    text = BENCHMARKS.read_text("utf-8")
    for name in (*PROTOCOLS, *(field.name for field in fields(Cell))):
        assert f"`{name}`" in text


def test_the_page_names_every_state_of_a_cell_without_a_line() -> None:
    text = BENCHMARKS.read_text("utf-8")
    for name in (*get_args(RunState), "crossprompt-outcome"):
        assert f"`{name}`" in text
    assert OUTCOMES in text
