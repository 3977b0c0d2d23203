"""The files of finished cells, and of those without a result."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crossprompt.bench.grid import Cell
from crossprompt.bench.results import LINES, OUTCOMES, Lines, Outcomes, deviation
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
    with pytest.raises(RequestError, match=f"line 2.*{fault}"):
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


def states_in(folder: Path) -> dict[int, tuple[str, str]]:
    entries = Outcomes(folder).read().values()
    return {entry["cell"]["seed"]: (entry["state"], entry["reason"]) for entry in entries}


def test_the_last_entry_of_a_cell_counts_and_asking_again_keeps_it(tmp_path: Path) -> None:
    outcomes, cells = Outcomes(tmp_path / "new"), [a_cell(seed=seed) for seed in (1, 2, 3)]
    assert outcomes.read() == {}
    outcomes.ask(cells)
    outcomes.note(cells[:1], "failed", "out of luck")
    outcomes.note(cells[1:2], "not applicable", "no words")
    Outcomes(tmp_path / "new").ask([*cells, a_cell(seed=4)])
    expected = {1: ("failed", "out of luck"), 2: ("not applicable", "no words")}
    assert states_in(tmp_path / "new") == {**expected, 3: ("asked", ""), 4: ("asked", "")}
    outcomes.note(cells[:1], "failed", "of memory")
    assert states_in(tmp_path / "new")[1] == ("failed", "of memory")


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    outcomes, path = Outcomes(tmp_path), tmp_path / OUTCOMES
    for _ in range(2):
        outcomes.ask([a_cell()])
        Outcomes(tmp_path).note([a_cell()], "failed", "out of luck")
    first, second = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    assert first == {
        "format": "crossprompt-outcome",
        "version": 1,
        "cell": a_cell().to_json(),
        "state": "asked",
        "reason": "",
    }
    assert second == {**first, "state": "failed", "reason": "out of luck"}


def test_several_writers_add_whole_entries_over_a_torn_one(tmp_path: Path) -> None:
    cells = [a_cell(seed=seed) for seed in range(20)]
    Outcomes(tmp_path).ask(cells[:1])
    with (tmp_path / OUTCOMES).open("a") as file:
        file.write('{"format": "crossprompt-out')

    def write(number: int) -> None:
        outcomes = Outcomes(tmp_path)
        outcomes.ask(cells)
        for cell in cells[number::4]:
            outcomes.note([cell], "failed", f"seen by {number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert states_in(tmp_path) == {seed: ("failed", f"seen by {seed % 4}") for seed in range(20)}
    assert len((tmp_path / OUTCOMES).read_text().splitlines()) == 40


def test_an_entry_without_a_reason_is_an_error_that_says_where(tmp_path: Path) -> None:
    Outcomes(tmp_path).ask([a_cell()])
    line = json.loads((tmp_path / OUTCOMES).read_text("utf-8"))
    (tmp_path / OUTCOMES).write_text(json.dumps(line | {"reason": None}) + "\n", "utf-8")
    with pytest.raises(RequestError, match=r"outcomes\.jsonl, line 1 .*reason"):
        Outcomes(tmp_path).read()


def test_the_deviation_is_that_of_a_sample_and_none_of_a_single_value() -> None:
    assert deviation([0.2, 0.4, 0.6]) == pytest.approx(0.2)
    assert deviation([0.5]) == 0.0
