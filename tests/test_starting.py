"""Ctrl-C while the program starts."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from crossprompt.starting import leave_on_interrupt, raise_on_interrupt

BEGIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import crossprompt.cli
from crossprompt.__main__ import main
program = sys.modules["crossprompt.cli.main"]
"""
INTERRUPTED = (
    BEGIN
    + """
def parse(words):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:  # as the import of NumPy within torch's does
        raise ImportError("half imported")

program.parse = parse
main()
"""
)
RUNNING = (
    BEGIN
    + """
from types import SimpleNamespace

def run(options):
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        print("tidied up")

program.COMMANDS["work"] = SimpleNamespace(
    summary="", EXAMPLE="", add_arguments=lambda *_: None, run=run
)
sys.argv = ["crossprompt", "work"]
sys.exit(main())
"""
)


@pytest.fixture
def unchanged() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_middle_of_an_import_ends_the_program_with_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "crossprompt: error: stopped\n")


@pytest.mark.usefixtures("unchanged")
def test_ctrl_c_is_an_exception_again_when_the_work_begins() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    leave_on_interrupt()
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    raise_on_interrupt()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("unchanged")
def test_ctrl_c_that_a_shell_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_on_interrupt()
    signal.raise_signal(signal.SIGINT)
    raise_on_interrupt()
    signal.raise_signal(signal.SIGINT)


def test_a_command_that_runs_is_interrupted_in_order() -> None:
    done = subprocess.run([sys.executable, "-c", RUNNING], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "tidied up\n")
    assert done.stderr == "crossprompt: error: stopped\n"
