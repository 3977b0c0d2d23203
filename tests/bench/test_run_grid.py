"""A grid that is run, with an engine that computes nothing."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from crossprompt.bench.engines import SILENT, Engine, Local
from crossprompt.bench.grid import Cell
from crossprompt.bench.results import Lines, Outcomes
from crossprompt.bench.run_grid import Summary, run_grid
from crossprompt.bench.task import Outcome, Task
from crossprompt.data import Dataset
from crossprompt.errors import RequestError
from crossprompt.utils.progress import Reporter, Silent, StepReport
from tests.bench.cells import TRAINING, a_cell, four_classes


class Listed(Engine):
    """Answers at once, backwards; some cells fail, some methods do not apply."""

    def __init__(self, fingerprint: str = "f") -> None:
        self.seen = list[Task]()
        self.fingerprint = fingerprint

    def run(self, tasks: Sequence[Task], reporter: Reporter = SILENT) -> Iterator[Outcome]:
        for task in reversed(tasks):
            self.seen.append(task)
            if task.training.seed == 13:
                yield Outcome(task, error="out of luck")
            elif task.training.method == "linear_probe":
                yield Outcome(task, error="has no words", applicable=False)
            else:
                yield Outcome(task, tuple(self.line(cell) for cell in task.cells))

    def line(self, cell: Cell) -> dict[str, Any]:
        return {
            "cell": cell.to_json(),
            "results": [],
            "data_fingerprint": self.fingerprint,
            "weights_hash": "w",
        }


class Listener(Silent):
    def __init__(self) -> None:
        self.said, self.counted = list[str](), list[tuple[int, int]]()

    def say(self, text: str) -> None:
        self.said.append(text)

    def count(self, what: str) -> Any:
        return lambda done, total: self.counted.append((done, total))


@pytest.fixture(autouse=True)
def _nothing_to_load(monkeypatch) -> None:
    empty = Dataset("emoji", ("a", "b"))
    monkeypatch.setattr("crossprompt.bench.run_grid.load_data", lambda *_: empty)
    monkeypatch.setattr("crossprompt.bench.run_grid.load_backbone", lambda *_: None)


def run(cells: list[Cell], output: Path, engine: Engine, listener: Silent = SILENT) -> Summary:
    return run_grid(cells, output, engine, reporter=listener)


def test_what_is_finished_is_not_computed_again(tmp_path) -> None:
    cells = [a_cell(seed=seed) for seed in (1, 2, 3)]
    assert len(run(cells[:2], tmp_path, Listed()).computed) == 2
    engine, listener = Listed(), Listener()
    summary = run(cells, tmp_path, engine, listener)
    assert [task.cells for task in engine.seen] == [(cells[2],)]
    assert (summary.finished_before, summary.computed) == (2, [cells[2]])
    assert listener.counted == [(2, 3), (3, 3)]
    assert set(Lines(tmp_path).read()) == {cell.key for cell in cells}
    assert listener.said == []


def test_a_cell_that_fails_is_reported_and_tried_again_and_the_rest_is_computed(tmp_path) -> None:
    cells = [
        a_cell(seed=1),
        a_cell(seed=13),
        a_cell(seed=13, inference="per-image"),
        a_cell(method="linear_probe"),
    ]
    failures: list[Outcome] = []
    summary = run_grid(cells, tmp_path, Listed(), on_failure=failures.append)
    assert summary.computed == [cells[0]]
    assert summary.failed == [(cells[1], "out of luck"), (cells[2], "out of luck")]
    assert summary.not_applicable == [(cells[3], "has no words")]
    assert [outcome.task.cells for outcome in failures] == [tuple(cells[1:3])]
    assert summary.to_json()["failed"][0] == {"cell": cells[1].to_json(), "reason": "out of luck"}
    engine = Listed()
    run(cells, tmp_path, engine)
    assert [task.cells for task in reversed(engine.seen)] == [tuple(cells[1:3]), (cells[3],)]
    entries = Outcomes(tmp_path).read()
    assert [(entries[cell.key]["state"], entries[cell.key]["reason"]) for cell in cells] == [
        ("asked", ""),  # and finished, as its line says
        ("failed", "out of luck"),
        ("failed", "out of luck"),
        ("not applicable", "has no words"),
    ]


def test_a_cell_that_another_process_finished_meanwhile_is_not_written_again(tmp_path) -> None:
    class Late(Listed):
        def run(self, tasks: Sequence[Task], reporter: Reporter = SILENT) -> Iterator[Outcome]:
            Lines(tmp_path).append(self.line(tasks[0].cells[0]))
            yield from super().run(tasks)

    summary = run([a_cell()], tmp_path, Late())
    assert (summary.finished_before, summary.computed) == (1, [])
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == 1


@pytest.mark.slow
def test_the_steps_of_trainings_in_this_process_are_reported(tmp_path) -> None:
    class Counting(Listener):
        def __init__(self) -> None:
            super().__init__()
            self.steps = list[tuple[int, int]]()

        def step(self, report: StepReport) -> None:
            self.steps.append((report.step, report.steps))

    data = str(four_classes(tmp_path / "photos"))
    options = {"length": 2, "depth": 2}
    cell = a_cell(dataset=data, method="dcp", options=options, shots=2, training=TRAINING)
    listener = Counting()
    summary = run([cell], tmp_path / "results", Local(1), listener)
    assert summary.failed == []
    assert listener.steps == [(step, 4) for step in (1, 2, 3, 4)]


def test_other_data_under_the_same_name_is_noted_once(tmp_path) -> None:
    run([a_cell(seed=1)], tmp_path, Listed("old"))
    listener = Listener()
    run([a_cell(seed=seed) for seed in (1, 2, 3)], tmp_path, Listed("new"), listener)
    (note,) = listener.said
    assert "data set emoji" in note


@pytest.fixture
def _without_b(monkeypatch) -> None:
    def load(name: str, root: str | None) -> Dataset:
        if name.startswith("b"):
            raise RequestError(f"no {name}")
        return Dataset(name, ("a", "b"))

    monkeypatch.setattr("crossprompt.bench.run_grid.load_data", load)


@pytest.mark.usefixtures("_without_b")
def test_a_data_set_that_cannot_be_loaded_fails_its_own_cells_alone(tmp_path) -> None:
    cells = [
        a_cell(),
        a_cell(dataset="b", seed=1),
        a_cell(dataset="b", seed=2),
        a_cell(protocol="cross-dataset", targets=("bees", "a")),
    ]
    engine, listener = Listed(), Listener()
    summary = run(cells, tmp_path, engine, listener)
    assert [task.cells for task in engine.seen] == [(cells[0],)]
    assert summary.computed == [cells[0]]
    assert summary.failed == list(zip(cells[1:], ("no b", "no b", "no bees"), strict=True))
    assert Outcomes(tmp_path).read()[cells[1].key]["reason"] == "no b"
    assert [text.rpartition(": ")[2] for text in listener.said] == ["no b", "no bees"]
    assert listener.counted == [(3, 4), (4, 4)]


@pytest.mark.usefixtures("_without_b")
def test_where_no_data_set_can_be_loaded_the_request_is_wrong(tmp_path) -> None:
    engine = Listed()
    with pytest.raises(RequestError, match=r"\Ano b\nno bees\Z"):
        run([a_cell(dataset="b"), a_cell(dataset="bees")], tmp_path / "new", engine)
    assert engine.seen == []
    assert not (tmp_path / "new").exists()


def test_a_backbone_that_cannot_be_loaded_fails_its_own_cells_alone(tmp_path, monkeypatch) -> None:
    def load(name: str, *_: str) -> None:
        if name != "tiny":
            raise RequestError(f"no weights in {name}")

    monkeypatch.setattr("crossprompt.bench.run_grid.load_backbone", load)
    cells = [a_cell(), a_cell(backbone="big")]
    summary = run(cells, tmp_path, Listed())
    assert summary.failed == [(cells[1], "no weights in big")]
    assert summary.computed == cells[:1]


def test_what_is_odd_about_the_data_is_noted_once(tmp_path, monkeypatch) -> None:
    odd = Dataset("emoji", ("a", "b"), notes=("splits of our own",))
    monkeypatch.setattr("crossprompt.bench.run_grid.load_data", lambda *_: odd)
    listener = Listener()
    run([a_cell(seed=1), a_cell(seed=2)], tmp_path, Listed(), listener)
    assert listener.said == ["note: emoji: splits of our own"]
