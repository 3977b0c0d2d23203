"""Runs that are stopped at any point and resume to the same bytes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from pyarrow import parquet

from crossprompt.errors import JobError, RequestError
from crossprompt.inference.base import Input, Prediction
from crossprompt.inference.bulk import output as output_module
from crossprompt.inference.bulk.run import InputBatch, open_inputs
from tests.inference.bulk.numbered import local, picture, predict, write_files


class Stopped(BaseException):
    """An exception that no code expects."""


class Counting:
    """Records the classified images, and stops after some batches."""

    def __init__(self, batches: int | None = None) -> None:
        self.names: list[str] = []
        self._batches = batches

    def __call__(self, batches: Iterable[InputBatch]) -> Iterator[list[Prediction]]:
        for done, predictions in enumerate(local()(batches)):
            if done == self._batches:
                raise Stopped
            self.names += [found.path for found in predictions]
            yield predictions


@pytest.fixture
def saved_at_once(monkeypatch) -> None:
    """Progress is saved after every batch."""
    monkeypatch.setattr(output_module, "SECONDS", 0.0)


@pytest.fixture
def inputs(tmp_path) -> list[Input]:
    """22 images, of which two cannot be read."""
    paths = write_files(tmp_path / "photos", range(20))
    Path(paths[5]).write_bytes(b"no image")
    (tmp_path / "photos" / "5b.png").write_bytes(picture(5))
    (tmp_path / "photos" / "99.png").touch()
    return list(open_inputs([str(tmp_path / "photos")]))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_is_the_same_to_the_byte_wherever_its_run_was_stopped(
    inputs, tmp_path, ending, saved_at_once
) -> None:
    expected = tmp_path / f"expected.{ending}"
    assert predict(inputs, expected) == (2, [])
    for batches in range(6):
        output, first, second = tmp_path / f"{batches}.{ending}", Counting(batches), Counting()
        with pytest.raises(Stopped):
            predict(inputs, output, first)
        assert not output.exists()
        failed, said = predict(inputs, output, second)
        assert failed == 2
        assert output.read_bytes() == expected.read_bytes()
        assert [*first.names, *second.names] == [given.name for given in inputs]
        assert [f"{4 * batches} rows" in text for text in said] == [True] * bool(batches)
        assert not (tmp_path / f"{output.name}.partial").exists()


@pytest.mark.slow
def test_a_run_that_dies_at_any_touch_of_the_disk_resumes_to_the_same_bytes(
    inputs, tmp_path, monkeypatch, saved_at_once
) -> None:
    expected = tmp_path / "expected.jsonl"
    predict(inputs, expected)
    touches = [(os, "replace"), (os, "fsync"), (shutil, "rmtree"), (Path, "unlink")]
    dead = 0
    for place, name in touches:
        for count in range(30):
            output = tmp_path / f"{name}-{count}.jsonl"
            with monkeypatch.context() as patch:
                calls = dying_after(patch, place, name, count)
                # a killed process removes nothing
                patch.setattr(output_module.PartialFile, "_remove_empty", lambda self: None)
                try:
                    predict(inputs, output)
                except Stopped:
                    dead += 1
            predict(inputs, output)
            assert output.read_bytes() == expected.read_bytes(), (name, count)
            if len(calls) <= count:
                break
        else:
            pytest.fail(f"{name} was called more often than expected")
    assert dead > 20


def dying_after(patch: pytest.MonkeyPatch, place: object, name: str, count: int) -> list[str]:
    """Have a function raise at its call ``count``; returns the list of its calls."""
    calls: list[str] = []
    original = getattr(place, name)

    def call(*given, **named):
        calls.append(name)
        if len(calls) > count:
            raise Stopped
        return original(*given, **named)

    patch.setattr(place, name, call)
    return calls


KILLED = """
import os, signal, sys
from crossprompt.inference.bulk import output as output_module
from crossprompt.inference.bulk.run import open_inputs
from pathlib import Path
from tests.inference.bulk.numbered import predict
output_module.SECONDS = 0.0
original, done = output_module.PartialFile.append, []
def append(self, *given):
    done.append(original(self, *given))
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
output_module.PartialFile.append = append
assert "torch" not in sys.modules
predict(list(open_inputs([sys.argv[1]])), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_resumed(inputs, tmp_path) -> None:
    expected, output = tmp_path / "expected.csv", tmp_path / "answers.csv"
    predict(inputs, expected)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "photos"), str(output)]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    engine = Counting()
    predict(inputs, output, engine)
    assert engine.names == [given.name for given in inputs[12:]]
    assert output.read_bytes() == expected.read_bytes()


def test_rows_beyond_the_saved_progress_are_written_again(inputs, tmp_path, saved_at_once) -> None:
    expected, output = tmp_path / "expected.csv", tmp_path / "answers.csv"
    predict(inputs, expected)
    with pytest.raises(Stopped):
        predict(inputs, output, Counting(2))
    with (tmp_path / "answers.csv.partial" / "rows.csv").open("ab") as rows:
        rows.write(b"photos/8.png,half a r" * 1000)
    predict(inputs, output)
    assert output.read_bytes() == expected.read_bytes()


def test_a_parquet_file_has_the_rows_of_a_csv_file(inputs, tmp_path, saved_at_once) -> None:
    output = tmp_path / "answers.parquet"
    with pytest.raises(Stopped):
        predict(inputs, output, Counting(3))
    predict(inputs, output)
    rows = parquet.read_table(output).to_pylist()
    assert [row["path"] for row in rows] == [given.name for given in inputs]
    assert list(rows[0]) == ["path", "label", "probability", "error"]
    assert rows[0]["label"] == "0"
    assert isinstance(rows[0]["probability"], float)
    assert [row["path"] for row in rows if row["error"]] == [inputs[15].name, inputs[21].name]
    assert rows[15]["label"] is rows[15]["probability"] is None


@pytest.fixture
def stopped(inputs, tmp_path, saved_at_once) -> Path:
    """An interrupted output with eight finished rows."""
    output = tmp_path / "answers.csv"
    with pytest.raises(Stopped):
        predict(inputs, output, Counting(2), the_classifier="cats", sources={"a.tar": "1"})
    return output


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"the_classifier": "dogs"}, "the_classifier.*cats.*dogs"),
        ({"top_k": "3"}, "top_k.*3"),
        ({"sources": {"a.tar": "2"}}, "a.tar"),
    ],
)
def test_other_settings_are_an_error_that_names_them(inputs, stopped, settings, difference) -> None:
    settings = {"the_classifier": "cats", "sources": {"a.tar": "1"}, **settings}
    with pytest.raises(RequestError, match=rf"{difference}.*--restart"):
        predict(inputs, stopped, **settings)
    assert predict(inputs, stopped, restart=True, **settings)[0] == 2


def test_other_images_are_an_error(inputs, stopped) -> None:
    same = {"the_classifier": "cats", "sources": {"a.tar": "1"}}
    for others in (inputs[1:], inputs[:5], [*inputs[:3], inputs[9], *inputs[3:]], inputs[::-1]):
        with pytest.raises(RequestError, match=r"8 .*renamed.*--restart"):
            predict(others, stopped, **same)
    Path(inputs[2].name).write_bytes(picture(200) + b" ")
    with pytest.raises(RequestError, match="--restart"):
        predict(inputs, stopped, **same)
    Path(inputs[2].name).unlink()
    with pytest.raises(RequestError, match="--restart"):
        predict(inputs, stopped, **same)
    assert predict(inputs, stopped, restart=True, **same)[0] == 3


@pytest.mark.parametrize("damage", ["progress.json", "settings.json", "rows.csv"])
def test_a_damaged_folder_is_an_error_that_names_the_file(inputs, stopped, damage) -> None:
    path = stopped.with_name("answers.csv.partial") / damage
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(RequestError, match=rf"{damage}.*--restart"):
        predict(inputs, stopped, the_classifier="cats", sources={"a.tar": "1"})


def test_two_processes_do_not_write_the_same_file(inputs, stopped) -> None:
    with (
        FileLock(stopped.with_name("answers.csv.partial") / ".lock"),
        pytest.raises(RequestError, match="another process"),
    ):
        predict(inputs, stopped)


def test_images_added_at_the_end_are_classified_too(inputs, tmp_path, stopped) -> None:
    more = [*inputs, *open_inputs(write_files(tmp_path / "more", [300, 301]))]
    predict(more, stopped, the_classifier="cats", sources={"a.tar": "1"})
    assert stopped.read_text("utf-8").count("\n") == 25


def test_a_run_without_a_row_leaves_nothing(inputs, tmp_path) -> None:
    with pytest.raises(Stopped):
        predict(inputs, tmp_path / "answers.csv", Counting(0))
    assert not list(tmp_path.glob("answers*"))


def test_an_engine_that_mixes_up_answers_is_caught(inputs, tmp_path) -> None:
    class Mixed:
        def __call__(self, batches: Iterable[InputBatch]) -> Iterator[list[Prediction]]:
            one, two, *_ = local()(batches)
            yield from (two, one)

    with pytest.raises(JobError, match="rows 0 to 4"):
        predict(inputs, tmp_path / "answers.csv", Mixed())


def test_few_images_are_held_at_once(tmp_path) -> None:
    taken = 0

    def many() -> Iterator[Input]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield given

    (given,) = open_inputs(write_files(tmp_path, [7]))
    furthest = 0

    class Watched:
        def __call__(self, batches: Iterable[InputBatch]) -> Iterator[list[Prediction]]:
            nonlocal furthest
            for done, predictions in enumerate(local()(batches)):
                furthest = max(furthest, taken - 4 * done)
                yield predictions

    predict(many(), tmp_path / "answers.csv", Watched())
    assert taken == 1000
    assert furthest <= 4 + 8 * 4 + 4  # a batch, images read ahead by every thread, a batch


def test_a_file_is_flushed_before_its_progress_is_saved(inputs, tmp_path, monkeypatch) -> None:
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append("fsync") or fsync(file))
    monkeypatch.setattr(os, "replace", lambda *a: order.append(Path(a[1]).name) or replace(*a))
    predict(inputs, tmp_path / "answers.csv")
    assert order[-4:] == ["fsync", "fsync", "progress.json", "answers.csv"]
