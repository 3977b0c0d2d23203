"""Tables and plots of docs/comparison.md."""

from pathlib import Path

from benchmarks import comparison
from tests.bench.report.lines import line, write_lines


def test_methods_are_compared_by_cost_and_on_every_test_set(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "published",
        [
            line(method="zero_shot", accuracy={"test": 0.25, "openmoji": 0.125}),
            line(accuracy={"test": 0.5, "openmoji": 0.25}, seed=1),
            line(accuracy={"test": 0.75, "openmoji": 0.25}, seed=2),
        ],
    )
    document = tmp_path / "comparison.md"
    document.write_text("before\n<!-- published -->\nold\n<!-- /published -->\nafter\n", "utf-8")

    comparison.main([str(tmp_path / "published"), "--output", str(document)])

    written = document.read_text("utf-8")
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "**62.5 ± 17.7**" in written
    assert "25.0 ± 0.0*" in written
    assert written.index("**test**") < written.index("**openmoji**")
    assert (tmp_path / "comparison-published.png").stat().st_size > 10_000
