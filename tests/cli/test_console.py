"""Terminal output: progress bars, tables and JSON."""

import io
import json
import sys

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from crossprompt.cli.console import (
    Terminal,
    build_progress,
    print_json,
    print_table,
    reporting,
)
from crossprompt.utils.progress import StepReport


@pytest.fixture
def shown():
    """A terminal, and its text at the end."""
    stream = io.StringIO()
    console = Console(file=stream, width=200)
    columns = ("{task.description}", "{task.completed}/{task.total}", "{task.fields[detail]}")
    with Progress(*(TextColumn(column) for column in columns), console=console) as progress:
        yield Terminal(progress), lambda: (progress.stop(), stream.getvalue())[1]


def test_a_bar_shows_how_many_are_done(shown) -> None:
    terminal, read = shown
    count = terminal.count("Checking images")
    for done in range(1, 4):
        count(done, 5)
    assert "Checking images 3/5" in read()


def test_the_training_bar_shows_a_smooth_loss_and_a_speed_from_the_second_step_on(shown) -> None:
    terminal, read = shown
    terminal.step(StepReport(1, 10, loss=1.0, lr=0.0035, images=4))
    assert "images/s" not in str(terminal._progress.tasks[0].fields)
    terminal.step(StepReport(2, 10, loss=2.0, lr=0.0035, images=4))
    terminal.step(StepReport(3, 10, loss=2.0, lr=0.0035, images=4))
    text = read()
    assert "3/10" in text
    assert "1.098" in text
    assert "images/s" in text


def test_another_training_has_its_own_bar_and_loss(shown) -> None:
    terminal, read = shown
    for step in (1, 2):
        terminal.step(StepReport(step, 2, loss=3.0, lr=0.1, images=4))
    terminal.step(StepReport(1, 50, loss=1.0, lr=0.1, images=4))
    text = read()
    assert "1/50" in text
    assert "1.000" in text
    assert "1/2" not in text


@pytest.fixture
def timed():
    """A terminal, its clock in seconds, and the remaining time of its only bar."""
    clock = [0.0]
    with build_progress(Console(file=io.StringIO()), lambda: clock[0]) as progress:
        yield Terminal(progress), clock, lambda: progress.tasks[0].time_remaining


def test_the_time_left_of_slow_steps_is_known(timed) -> None:
    terminal, clock, left = timed
    for step in range(1, 4):
        clock[0] += 60
        terminal.step(StepReport(step, 1000, loss=1.0, lr=0.1, images=4))
    assert left() == 997 * 60


def test_a_resumed_training_is_timed_from_where_it_resumes(timed) -> None:
    terminal, clock, left = timed
    for step in range(501, 505):
        clock[0] += 60
        terminal.step(StepReport(step, 1000, loss=1.0, lr=0.1, images=4))
    assert left() == 496 * 60


def test_the_next_training_of_a_grid_is_timed_anew(timed) -> None:
    terminal, clock, left = timed
    for step in (*range(1, 13), 1, 2, 3):
        clock[0] += 10
        terminal.step(StepReport(step, 12, loss=1.0, lr=0.1, images=4))
    assert left() == 9 * 10


def test_a_sentence_is_shown_as_it_is(shown) -> None:
    terminal, read = shown
    terminal.say("note: [bold]all 3[/bold] of /a/b")
    assert "note: [bold]all 3[/bold] of /a/b" in read()


def test_progress_goes_to_standard_error_and_tables_to_standard_output(capsys) -> None:
    with reporting() as terminal:
        terminal.say("hello")
        terminal.count("Working")(1, 1)
    print_table("Numbers", ["name", "value"], [["a", 1], ["b", 22]])
    found = capsys.readouterr()
    assert "hello" in found.err
    assert "Working" in found.err
    assert "22" in found.out
    assert "hello" not in found.out


def test_other_processes_are_silent(capsys, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with reporting() as terminal:
        terminal.say("hello")
        terminal.count("Working")(1, 1)
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("name", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "no text: \udcff"])
def test_json_can_be_printed_and_read_whatever_is_in_it(monkeypatch, encoding, name) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print_json({"label": name})
    stream.seek(0)
    text = stream.read()
    assert json.loads(text) == {"label": name}
    assert ("\\u" in text) is not (name.isprintable() and encoding == "utf-8")
