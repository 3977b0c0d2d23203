"""The file of finished cells."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from crossprompt.bench.grid import Cell
from crossprompt.bench.results import LINES, Lines
from crossprompt.errors import RequestError
from tests.bench.cells import a_cell


def line(cell: Cell, accuracy: float = 0.5) -> dict[str, Any]:
    return {"cell": cell.to_json(), "results": [{"name": "test", "accuracy": accuracy}]}


def test_a_line_is_found_by_its_cell(tmp_path) -> None:
    lines = Lines(tmp_path / "new")
    assert lines.read() == {}
    assert lines.append(line(a_cell(seed=1)))
    assert lines.append(line(a_cell(seed=2)))
    assert list(lines.read()) == [a_cell(seed=1).key, a_cell(seed=2).key]
    text = (tmp_path / "new" / LINES).read_text("utf-8")
    assert text.startswith('{"format": "crossprompt-result", "version": 1, "cell": {')
    assert text.endswith("}\n")


def test_settings_in_another_order_are_the_same_cell() -> None:
    one = a_cell(options={"length": 4, "class_specific": True})
    assert one.key == a_cell(options={"class_specific": True, "length": 4}).key
    assert one.key != a_cell(options={"length": 4}).key
    assert Cell(**json.loads(one.key)).key == one.key


def test_a_cell_is_written_only_once(tmp_path) -> None:
    lines = Lines(tmp_path)
    assert lines.append(line(a_cell(), 0.5))
    assert not Lines(tmp_path).append(line(a_cell(), 0.7))
    (found,) = lines.read().values()
    assert found["results"][0]["accuracy"] == 0.5


@pytest.mark.parametrize("kept", [1, 40, -1])  # bytes of the torn line; -1: all but its end
def test_a_torn_last_line_is_ignored_and_removed(tmp_path, kept) -> None:
    lines, path = Lines(tmp_path), tmp_path / LINES
    lines.append(line(a_cell(seed=1)))
    whole = path.read_bytes()
    lines.append(line(a_cell(seed=2)))
    path.write_bytes(whole + path.read_bytes()[len(whole) :][:kept])
    assert list(lines.read()) == [a_cell(seed=1).key]
    assert lines.append(line(a_cell(seed=2)))
    assert list(lines.read()) == [a_cell(seed=1).key, a_cell(seed=2).key]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"cell": ', ""),
        ("[]", "array"),
        ('{"format": "crossprompt-result", "version": 2, "cell": {}, "results": []}', "version"),
        ('{"format": "other", "version": 1, "cell": {}, "results": []}', "other"),
    ],
)
def test_a_damaged_line_in_the_middle_is_an_error_that_says_where(tmp_path, text, fault) -> None:
    lines = Lines(tmp_path)
    lines.append(line(a_cell()))
    with (tmp_path / LINES).open("a") as file:
        file.write(f"{text}\n")
    with pytest.raises(RequestError, match=f"line 2 of .*{fault}"):
        lines.read()


def test_several_writers_append_whole_lines_and_none_twice(tmp_path) -> None:
    def append_all(seeds: range) -> list[bool]:
        lines = Lines(tmp_path)
        return [lines.append(line(a_cell(seed=seed))) for seed in seeds]

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(append_all, [range(40)] * 4))
    assert sum(map(sum, written)) == 40
    assert len((tmp_path / LINES).read_text().splitlines()) == 40
    assert set(Lines(tmp_path).read()) == {a_cell(seed=seed).key for seed in range(40)}
