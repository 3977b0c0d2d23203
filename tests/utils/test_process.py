"""Ctrl-C and SIGTERM, during the imports and afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from crossprompt.utils.process import STOPS, leave_on_interrupt, raise_on_interrupt

BEGIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
number = getattr(signal, sys.argv[1])
import crossprompt.cli
from crossprompt.__main__ import main
program = sys.modules["crossprompt.cli.main"]
"""
INTERRUPTED = (
    BEGIN
    + """
def parse(words):
    try:
        signal.raise_signal(number)
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
        signal.raise_signal(number)
    finally:
        print("tidied up")

program.COMMANDS["work"] = ""
sys.modules["crossprompt.cli.work"] = SimpleNamespace(
    EXAMPLE="", add_arguments=lambda *_: None, run=run
)
sys.argv = ["crossprompt", "work"]
sys.exit(main())
"""
)


SIGNALS = pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])


def work(program: str, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, name],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


@pytest.fixture
def unchanged() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.slow
@SIGNALS
def test_a_stop_in_the_middle_of_an_import_ends_the_program_with_one_line(name: str) -> None:
    done = work(INTERRUPTED, name)
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


@pytest.mark.slow
@SIGNALS
def test_a_command_that_runs_is_stopped_in_order(name: str) -> None:
    done = work(RUNNING, name)
    assert (done.returncode, done.stdout) == (1, "tidied up\n")
    assert done.stderr == "crossprompt: error: stopped\n"


@pytest.mark.slow
def test_a_process_that_waits_for_one_that_failed_is_ended_by_their_launcher() -> None:
    done = work(RUNNING, "SIGTERM", WORLD_SIZE="2", RANK="0")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")
