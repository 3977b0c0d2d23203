"""Number of files that ``fit`` and ``predict`` pass through."""

import pytest

from tools.trace_files import trace_fit_and_predict

MOST = {"fit": 45, "predict": 35}


@pytest.mark.slow
def test_a_run_passes_through_few_files(tmp_path, capsys) -> None:
    files = trace_fit_and_predict(tmp_path)
    assert {
        command: len(names) for command, names in files.items() if len(names) > MOST[command]
    } == {}
    assert files["fit"][:2] == ["cli/main.py", "cli/fit.py"]  # a tracer that sees nothing fails
