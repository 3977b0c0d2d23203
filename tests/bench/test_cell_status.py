"""The file of cells without a line."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crossprompt.bench.cell_status import ASKED, FAILED, NOT_APPLICABLE, OUTCOMES, Outcomes
from crossprompt.errors import RequestError
from tests.bench.cells import a_cell


def states_in(folder: Path) -> dict[int, tuple[str, str]]:
    entries = Outcomes(folder).read().values()
    return {entry["cell"]["seed"]: (entry["state"], entry["reason"]) for entry in entries}


def test_the_last_entry_of_a_cell_counts_and_asking_again_keeps_it(tmp_path: Path) -> None:
    outcomes, cells = Outcomes(tmp_path / "new"), [a_cell(seed=seed) for seed in (1, 2, 3)]
    assert outcomes.read() == {}
    outcomes.ask(cells)
    outcomes.note(cells[:1], FAILED, "out of luck")
    outcomes.note(cells[1:2], NOT_APPLICABLE, "no words")
    Outcomes(tmp_path / "new").ask([*cells, a_cell(seed=4)])
    expected = {1: (FAILED, "out of luck"), 2: (NOT_APPLICABLE, "no words")}
    assert states_in(tmp_path / "new") == {**expected, 3: (ASKED, ""), 4: (ASKED, "")}
    outcomes.note(cells[:1], FAILED, "of memory")
    assert states_in(tmp_path / "new")[1] == (FAILED, "of memory")


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    outcomes, path = Outcomes(tmp_path), tmp_path / OUTCOMES
    for _ in range(2):
        outcomes.ask([a_cell()])
        Outcomes(tmp_path).note([a_cell()], FAILED, "out of luck")
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
            outcomes.note([cell], FAILED, f"seen by {number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert states_in(tmp_path) == {seed: (FAILED, f"seen by {seed % 4}") for seed in range(20)}
    assert len((tmp_path / OUTCOMES).read_text().splitlines()) == 40


def test_an_entry_without_a_reason_is_an_error_that_says_where(tmp_path: Path) -> None:
    Outcomes(tmp_path).ask([a_cell()])
    line = json.loads((tmp_path / OUTCOMES).read_text("utf-8"))
    (tmp_path / OUTCOMES).write_text(json.dumps(line | {"reason": None}) + "\n", "utf-8")
    with pytest.raises(RequestError, match=r"line 1 of .*outcomes\.jsonl .*reason"):
        Outcomes(tmp_path).read()
