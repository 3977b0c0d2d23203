"""Runs are grouped into series whose names say only what tells them apart."""

from typing import Any

import pytest

from crossprompt.bench.report.series import arrange
from tests.bench.report.lines import batch, line, records_of


def names(*lines: dict[str, Any], **options: bool) -> list[str]:
    return list(arrange(records_of(*lines), **options).series.unique())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line(method="dcp"), line(method="coop")], ["coop", "dcp"]),
        ([line(), line(seed=2), line("dtd"), line(shots=1)], ["dcp"]),
        (
            [line(options={"variant": "released"}), line()],
            ["dcp", "dcp variant=released"],
        ),
        ([line(options={"variant": "released"})], ["dcp"]),
        (
            [
                line(options={"length": 4, "share": False}, training={"lr": 0.03}),
                line(options={"length": 4}, training={"lr": 0.1}),
            ],
            ["dcp lr=0.1", "dcp share=no lr=0.03"],
        ),
        # what another method was given does not set two series of one method apart
        (
            [line(options={"length": 4}), line(method="coop", options={"length": 8})],
            ["coop", "dcp"],
        ),
        ([line(), line(backbone="big")], ["dcp big", "dcp tiny"]),
        ([line(), line(dtype="bf16")], ["dcp bf16", "dcp fp32"]),
        (
            [line(options={"initial_words": "a photo"}), line()],
            ["dcp", 'dcp initial_words="a photo"'],
        ),
        (
            [line(**batch(16, "sorted")), line(inference="per-image"), line()],
            ["dcp", "dcp (per-image)", "dcp (batch of 16, sorted)"],
        ),
        ([line(method="of tomorrow"), line(method="zero_shot")], ["zero_shot", "of tomorrow"]),
    ],
)
def test_a_name_says_only_what_differs(lines: list[dict[str, Any]], expected: list[str]) -> None:
    assert names(*lines) == expected
    assert names(*reversed(lines)) == expected


def test_one_training_that_answers_by_several_rules_is_one_series() -> None:
    lines = [line(**batch(4, "listed")), line(), line(options={"variant": "released"})]
    assert names(*lines, across_inference=True) == ["dcp", "dcp variant=released"]
