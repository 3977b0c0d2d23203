"""What a person sees while a job runs."""

import io
import sys

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from crossprompt.cli.terminal import Terminal, print_table, reporting
from crossprompt.reports import StepReport


@pytest.fixture
def shown():
    """A terminal, and what stands on it at the end."""
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


def test_the_training_bar_shows_loss_rate_and_steps(shown) -> None:
    terminal, read = shown
    for step in range(1, 4):
        terminal.step(StepReport(step, 10, loss=2.0, lr=0.0035, images=4))
    assert "Training 3/10 loss 2.000  lr 3.50e-03" in read()
    assert "images/s" in read()


def test_the_loss_is_smoothed(shown) -> None:
    terminal, read = shown
    for loss in (1.0, 2.0):
        terminal.step(StepReport(1, 10, loss=loss, lr=0.1, images=4))
    assert "loss 1.050" in read()


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
    assert sys.stderr is not None
