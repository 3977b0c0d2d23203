"""Runs on several data sets that were trained together have a row beside each of them."""

from pathlib import Path
from typing import Any

from crossprompt.bench.report import read_results
from crossprompt.bench.report.entries import MISSING
from tests.bench.report.lines import line, report_of, shown, table_of, write_lines


def together(first: float, second: float, **others: Any) -> dict[str, Any]:
    value = line("a+b", "mmap", {"test": first, "again": second}, **others)
    for result, dataset in zip(value["results"], "ab", strict=True):
        result |= {"name": "test", "dataset": dataset}
    return value | {"data_fingerprint": "0a+0b"}


ALONE = [line(name, method, 0.5) for name in "abc" for method in ("mmap", "coop")]


def test_each_data_set_has_a_row_of_the_joint_run() -> None:
    lines = [*ALONE, together(0.6, 0.8), together(0.7, 0.9, seed=2)]
    for name, expected in {"a": "65.00 ± 7.07", "b": "85.00 ± 7.07"}.items():
        found = shown(table_of(f"few-shot-{name}", *lines))
        assert found["mmap (a+b together)"] == [expected]
        assert found["mmap"] == ["50.00 ± 0.00*"]
    assert "few-shot-a-b" not in [table.name for table in report_of(*lines).tables]
    facts = dict(report_of(*lines).descriptions[-1].facts)
    assert facts["data (fingerprints)"] == "a: 0a, b: 0b"


def test_it_keeps_no_data_set_out_of_the_average_of_the_others() -> None:
    table = table_of("few-shot-average", *ALONE, together(0.6, 0.8))
    assert shown(table) == {
        "coop": ["50.00 ± 0.00*"],
        "mmap": ["50.00 ± 0.00*"],
        "mmap (a+b together)": [MISSING],
    }
    assert "3 of 3 data sets: a, b, c." in table.notes[0]
    both = [value for value in ALONE if value["cell"]["dataset"] != "c"]
    found = shown(table_of("few-shot-average", *both, together(0.6, 0.8)))
    assert found["mmap (a+b together)"] == ["70.00 ± 0.00*"]


def test_test_sets_of_the_same_name_are_not_taken_for_one(tmp_path: Path) -> None:
    assert read_results(write_lines(tmp_path, [together(0.6, 0.8)])).notes == ()
