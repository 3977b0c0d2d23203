"""Requested runs without a result stand in the report with their status."""

from pathlib import Path
from typing import Any

import pytest

from crossprompt.bench.report import Report, build_report, read_results, to_json
from crossprompt.bench.report.entries import MISSING
from crossprompt.bench.report.write import html, latex, markdown
from crossprompt.errors import RequestError
from tests.bench.report.lines import entry, line, shown, write_entries, write_lines


def report(folder: Path, lines: list[dict[str, Any]], entries: list[dict[str, Any]]) -> Report:
    write_entries(write_lines(folder, lines), entries)
    return build_report(read_results(folder))


def table(found: Report, name: str) -> dict[str, list[str]]:
    return shown(next(table for table in found.tables if table.name == name))


FAILED = [
    line(),
    line(shots=1, method="coop"),
    line(shots=1, method="coop", seed=2),
]
ENTRIES = [
    entry(line()),  # finished since
    entry(line(shots=1), "asked", ""),
    entry(line(method="coop")),
    entry(line(method="coop", seed=2), "asked", ""),
    entry(line(method="mmap"), "not applicable", "it never does"),
    entry(line(method="mmap", shots=1), "not applicable", "it never does"),
]


def test_a_place_without_a_number_says_why(tmp_path: Path) -> None:
    found = report(tmp_path, FAILED, ENTRIES)
    assert table(found, "few-shot-emoji") == {
        "coop": ["50.00 ± 0.00", "failed"],
        "dcp": ["missing", "50.00 ± 0.00*"],
        "mmap": ["not applicable", "not applicable"],
    }
    assert dict(found.facts) | {"failed cells": "1", "missing cells": "2"} == dict(found.facts)
    assert [one.name for one in found.descriptions] == ["coop", "dcp"]


def test_the_reasons_are_listed(tmp_path: Path) -> None:
    found = report(tmp_path, FAILED, ENTRIES)
    (section,) = [section for section in found.sections if section.name == "unfinished"]
    (listed,) = section.tables
    assert [(row.label, *row.entries) for row in listed.rows] == [
        ("coop", "few-shot", "emoji", "1: 8 shots, seed 1", "failed", "out of luck"),
        ("coop", "few-shot", "emoji", "1: 8 shots, seed 2", "missing", ""),
        ("dcp", "few-shot", "emoji", "1: 1 shot, seed 1", "missing", ""),
        ("mmap", "few-shot", "emoji", "2: 1, 8 shots, seed 1", "not applicable", "it never does"),
    ]
    for text in (html(found), markdown(found), latex(listed)):
        assert "out of luck" in text
    assert '<table id="unfinished" class="words">' in html(found)
    assert r"\begin{tabular}{l" + 5 * r"p{0.15\linewidth}" + "}" in latex(listed)
    assert to_json(found)["tables"][-1]["name"] == "unfinished"


def test_a_finished_grid_has_no_list(tmp_path: Path) -> None:
    found = report(tmp_path, [line()], [entry(line())])
    assert "unfinished" not in [section.name for section in found.sections]
    assert "failed cells" not in dict(found.facts)


def test_runs_that_do_not_apply_take_no_part_in_an_average(tmp_path: Path) -> None:
    given: dict[str, Any] = {"protocol": "base-to-new", "accuracy": {"base": 0.8, "new": 0.4}}
    lines = [line("a", **given), line("b", **given)]
    entries = [
        entry(line(name, "linear_probe", protocol="base-to-new"), "not applicable", "no words")
        for name in "ab"
    ]
    found = report(tmp_path, lines, entries)
    for name in ("base-to-new-a-8", "base-to-new-b-8"):
        assert table(found, name)["linear_probe"] == 3 * ["not applicable"]
    average = table(found, "base-to-new-average-8")
    assert average["dcp"] == ["80.00 ± 0.00*", "40.00 ± 0.00*", "53.33 ± 0.00*"]
    assert average["linear_probe"] == 3 * [MISSING]


def test_tables_of_shifts_show_failed_sources_and_targets(tmp_path: Path) -> None:
    given: dict[str, Any] = {"protocol": "cross-dataset", "shots": 16}
    lines = [line(accuracy={"test": 0.5, "dtd": 0.3, "cars": 0.1}, **given)]
    lines += [line(method="coop", accuracy={"test": 0.5, "dtd": 0.3}, targets=["dtd"], **given)]
    entries = [
        entry(line(method="coop", targets=["cars"], **given)),
        entry(line(method="linear_probe", **given), "not applicable", "no words"),
    ]
    assert table(report(tmp_path, lines, entries), "cross-dataset-emoji-16") == {
        "linear_probe": 4 * ["not applicable"],
        "coop": ["50.00 ± 0.00*", "30.00 ± 0.00*", "failed", "30.00 ± 0.00*"],
        "dcp": ["50.00 ± 0.00*", "30.00 ± 0.00*", "10.00 ± 0.00*", "30.00 ± 0.00*"],
    }


@pytest.mark.parametrize("change", [{"state": "lost"}, {"cell": {"protocol": "few-shot"}}])
def test_a_malformed_entry_is_an_error_that_names_the_file(tmp_path: Path, change) -> None:
    with pytest.raises(RequestError, match=r"outcomes\.jsonl"):
        report(tmp_path, [line()], [entry(line(seed=2)) | change])


def test_no_heading_of_the_report_is_empty(tmp_path: Path) -> None:
    found = report(tmp_path, FAILED, ENTRIES)
    assert "<h3></h3>" not in html(found)
    assert "###" not in [line.strip() for line in markdown(found).splitlines()]
