"""Published numbers stand apart, under a label, and only beside what they compare with."""

import json
from typing import Any

import pytest

from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.report import to_json
from crossprompt.bench.report.entries import Measured, plain
from crossprompt.bench.report.protocols import quotations
from crossprompt.bench.report.tables import Table
from crossprompt.bench.report.write import html, latex, markdown
from crossprompt.bench.studies import BACKBONE, FEW_SHOT
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from tests.bench.report.lines import SMALL, line, report_of, table_of

LABEL = "published, ViT-B/16, not measured here"


def quoted(table: Table) -> dict[str, list[str]]:
    rows = [row for rows in table.by_group[1:] for row in rows]
    return {row.label: [plain(entry) for entry in row.entries] for row in rows}


def test_they_are_shown_beside_the_average_of_the_published_data_sets() -> None:
    lines = [line("dtd", shots=shots) for shots in (1, 16, 32)]
    found = quoted(table_of("few-shot-average", *lines))
    assert found["MaPLe"] == ["69.27", "81.79", "\u2013"]
    assert found["CLIP-LoRA"] == ["72.5", "82.9", "\u2013"]
    assert len(found) == 10


def test_base_to_new_and_domain_generalisation_have_theirs_at_16_shots() -> None:
    given: dict[str, Any] = {"shots": 16, "protocol": "base-to-new"}
    halves = {"base": 0.5, "new": 0.5}
    found = quoted(table_of("base-to-new-average-16", line("dtd", accuracy=halves, **given)))
    assert found["PMPO"] == ["\u2013", "\u2013", "79.28"]
    assert found["HiCroPL"] == ["85.89", "77.99", "81.75"]
    given["protocol"] = "domain-generalisation"
    sets = dict.fromkeys(("test", "imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"), 0.5)
    name = "domain-generalisation-imagenet-16"
    found = quoted(table_of(name, line("imagenet", accuracy=sets, **given)))
    # the last is the mean of the four before: 237.11 / 4
    assert found["CoOp"] == ["71.51", "64.20", "47.99", "49.71", "75.21", "59.28"]
    others = report_of(line("imagenet", accuracy=sets, **(given | {"shots": 4})))
    assert all(len(table.groups) == 1 for table in others.tables)


def test_they_are_not_shown_beside_data_that_they_are_not_of() -> None:
    report = report_of(line("emoji", shots=16), line("photos", shots=16))
    assert all(len(table.groups) == 1 for table in report.tables)
    assert LABEL not in html(report)


def test_notes_say_why_they_do_not_compare() -> None:
    (group, _) = table_of("few-shot-average", line("dtd", shots=16)).groups[1:]
    text = " ".join(group.notes)
    assert "measured with another backbone (tiny) do not compare" in text
    assert "Our averages are of 1 data sets (dtd), which are not those" in text
    every = [
        line(name, shots=16, backbone="openai/clip-vit-base-patch16")
        for name in quotations()["few-shot"]["datasets"]
    ]
    (group, _) = table_of("few-shot-average", *every).groups[1:]
    assert len(group.notes) == 1


@pytest.mark.slow
def test_they_are_labelled_in_every_format_and_are_never_ours() -> None:
    report = report_of(*SMALL)
    labelled = [table for table in report.tables if len(table.groups) > 1]
    assert {table.name for table in labelled} == {
        "few-shot-average",
        "base-to-new-average-16",
        "domain-generalisation-imagenet-16",
    }
    for table in labelled:
        assert all(str(group.title).startswith(LABEL) for group in table.groups[1:])
        assert LABEL in latex(table)
        assert not any(row.best[0] for rows in table.by_group[1:] for row in rows)
    assert html(report).count(LABEL) == markdown(report).count(LABEL) == 4
    for found in to_json(report)["tables"]:
        for group in found["groups"]:
            entries = [entry for row in group["rows"] for entry in row["entries"]]
            key = "mean" if group["published"] is None else "published"
            assert all(key in entry for entry in entries if isinstance(entry, dict))


def test_every_number_has_as_many_columns_as_it_says() -> None:
    found = dict(quotations())
    assert found.pop("label") == LABEL
    found.pop("backbones")
    for protocol in found.values():
        assert protocol["what"]
        for source in protocol["sources"]:
            assert source["source"]
            assert all(len(row) == len(protocol["columns"]) for row in source["rows"].values())
    assert json.dumps(found)
    assert not any(isinstance(value, Measured) for value in found.values())


def test_they_are_of_the_data_sets_that_this_library_knows_by_these_names() -> None:
    found = quotations()
    for protocol in ("few-shot", "base-to-new"):
        assert found[protocol]["datasets"] == list(FEW_SHOT)
    shifted = found["domain-generalisation"]
    assert shifted["columns"] == [*shifted["datasets"], *BENCHMARKS["imagenet"].shifted]
    assert set(found) - {"label", "backbones"} <= set(PROTOCOLS)
    assert BACKBONE in found["backbones"]


@pytest.mark.parametrize(
    ("protocol", "method", "column", "percent"),
    [
        ("few-shot", "linear probe", 1, 45.83),
        ("few-shot", "CoOp", 16, 79.89),
        ("few-shot", "CoCoOp", 4, 71.21),
        ("few-shot", "MaPLe", 8, 78.89),
        ("few-shot", "PromptSRC", 2, 75.29),
        ("few-shot", "CLIP-LoRA", 16, 82.9),
        ("few-shot", "Tip-Adapter-F", 1, 70.8),
        ("few-shot", "TaskRes", 8, 78.4),
        ("few-shot", "ProGrad", 4, 74.7),
        ("few-shot", "PLOT++", 2, 74.0),
        ("base-to-new", "CLIP", "new", 74.22),
        ("base-to-new", "CoOp", "base", 82.69),
        ("base-to-new", "CoCoOp", "harmonic mean", 75.83),
        ("base-to-new", "KgCoOp", "new", 73.60),
        ("base-to-new", "MaPLe", "base", 82.28),
        ("base-to-new", "PMPO", "harmonic mean", 79.28),
        ("base-to-new", "PMPO", "base", None),
        ("base-to-new", "PromptSRC", "new", 76.10),
        ("base-to-new", "HiCroPL", "harmonic mean", 81.75),
        ("domain-generalisation", "CLIP", "imagenet", 66.73),
        ("domain-generalisation", "CoOp", "imagenetv2", 64.20),
        ("domain-generalisation", "CoCoOp", "imagenet_a", 50.63),
        ("domain-generalisation", "MaPLe", "imagenet_sketch", 49.15),
        ("domain-generalisation", "PromptSRC", "imagenet_r", 77.80),
        ("domain-generalisation", "HiCroPL", "imagenet_r", 77.15),
    ],
)
def test_a_published_number_is_what_was_published(protocol, method, column, percent) -> None:
    """One number of every row, copied a second time from tables in the papers' repositories:
    few-shot from the README of CasPL and a figure of CLIP-LoRA's paper, the others from the papers.
    """
    known = quotations()[protocol]
    rows = {name: row for source in known["sources"] for name, row in source["rows"].items()}
    assert rows[method][known["columns"].index(column)] == percent


def test_no_published_row_is_without_a_number_that_is_checked() -> None:
    (marker,) = test_a_published_number_is_what_was_published.pytestmark
    checked = {(protocol, method) for protocol, method, *_ in marker.args[1]}
    found = {name: known for name, known in quotations().items() if name in PROTOCOLS}
    assert checked == {
        (protocol, method)
        for protocol, known in found.items()
        for source in known["sources"]
        for method in source["rows"]
    }
