"""Nothing in a line is ever taken for HTML, Markdown or LaTeX."""

import re
from pathlib import Path

import pytest
from PIL import Image

from crossprompt.bench.report import plot_inference, write_report
from crossprompt.bench.report.plots import COLORS
from crossprompt.bench.report.write import (
    FIRST,
    LATEX,
    escape_latex,
    escape_markdown,
    html,
    latex,
    markdown,
)
from crossprompt.errors import RequestError
from tests.bench.report.lines import (
    batch,
    line,
    records_of,
    report_of,
    table_of,
    write_lines,
)

ODD = (
    "<script>alert(1)</script>",
    "a & b_c $x^2$ 50% #1 {~}",
    "犬 naïve ±",
    "x | y\n*z*",
    '"q" \\',
)


def test_odd_names_are_text_in_the_page() -> None:
    report = report_of(
        line(ODD[0], classes=ODD, options={"words": '"><img src=x>'}, machine=ODD[0])
    )
    page = html(report)
    assert "<script" not in page.lower()
    assert "<img" not in page.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &amp; b_c $x^2$ 50% #1 {~}" in page
    assert "犬 naïve ±" in page


def test_odd_names_are_text_in_latex() -> None:
    text = latex(table_of("per-class-few-shot-emoji-test", line(classes=ODD)))
    assert r"a \& b\_c \$x\textasciicircum{}2\$ 50\% \#1 \{\textasciitilde{}\} &" in text
    assert r"\textless{}script\textgreater{}alert(1)" in text
    assert r"x \textbar{} y \textasteriskcentered{}z\textasteriskcentered{} &" in text
    rows = [row for row in text.split("\n") if row.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {1}
    for letter in LATEX:
        assert escape_latex(letter) != letter


def test_odd_names_are_text_in_markdown() -> None:
    text = markdown(report_of(line(classes=ODD)))
    assert r"| a &amp; b\_c \$x^2\$ 50% \#1 \{\~\} " in text
    assert r"| \<script\>alert(1)\</script\> " in text
    assert r"| x \| y \*z\* " in text
    table = [row for row in text.split("\n") if row.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in table} == {3}
    assert escape_markdown("a\nb") == "a b"


def test_odd_names_are_text_in_pictures(tmp_path: Path) -> None:
    lines = [
        line(r"a $\wrong$ formula_", options={"words": r"$\wrong$"}),
        line(r"a $\wrong$ formula_"),
        line("犬"),
    ]
    (_, path) = write_report(report_of(*lines), tmp_path, ["markdown"])["markdown"]
    with Image.open(path) as picture:
        assert picture.width > 800


def test_a_long_latex_table_runs_over_several_pages() -> None:
    many = tuple(f"class {number}" for number in range(60))
    text = latex(table_of("per-class-few-shot-emoji-test", line(classes=many)))
    assert r"\begin{longtable}{lr}" in text
    assert r"\begin{table}" not in text


def test_what_is_missing_is_shown_as_missing_in_every_format() -> None:
    lines = [line(shots=1), line(shots=2, method="coop")]
    table, page = table_of("few-shot-emoji", *lines), html(report_of(*lines))
    assert "dcp & 50.00 $\\pm$ 0.00\\textasteriskcentered{} & -- \\\\" in latex(table)
    assert page.count('<span class="unseen"> (not run)</span>') == 2
    assert re.search(r"\| dcp +\| +50.00 ± 0.00\\\* \| +\u2013 \|", markdown(report_of(*lines)))
    for text in (latex(table), page, markdown(report_of(*lines))):
        assert "not run; among published numbers: not known to us" in text


def test_every_format_is_written_and_an_old_table_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "old.tex").write_text(f"{FIRST}\n", "utf-8")
    (tmp_path / "tables" / "mine.tex").write_text("% by hand\n", "utf-8")
    batches = line(accuracy=0.6, **batch(4, "sorted"))
    written = write_report(report_of(line(), line(seed=2, accuracy=0.6), batches), tmp_path)
    assert set(written) == {"html", "markdown", "latex"}
    for paths in written.values():
        assert all(path.stat().st_size > 100 for path in paths)
    pictures = [path for path in written["markdown"] if path.suffix == ".png"]
    assert [path.name for path in pictures] == ["few-shot.png", "inference.png"]
    for path in pictures:
        assert f"]({path.name})" in (tmp_path / "report.md").read_text("utf-8")
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").getcolors(2**24) or []) > 50
    assert not (tmp_path / "tables" / "old.tex").exists()
    assert (tmp_path / "tables" / "mine.tex").exists()


def test_the_same_lines_give_the_same_files(tmp_path: Path) -> None:
    report = report_of(line(), line(seed=2, accuracy=0.6), line(**batch(4, "sorted")))
    first, second = (write_report(report, tmp_path / name) for name in "ab")
    for form, paths in first.items():
        for one, other in zip(paths, second[form], strict=True):
            assert one.read_bytes() == other.read_bytes(), one.name


def test_a_folder_that_is_a_file_and_an_unknown_format_are_errors(tmp_path: Path) -> None:
    path = write_lines(tmp_path, [line()]) / "lines.jsonl"
    with pytest.raises(RequestError, match=r"lines\.jsonl"):
        write_report(report_of(line()), path)
    with pytest.raises(RequestError, match="'pdf'"):
        write_report(report_of(line()), tmp_path, ["pdf"])


def test_the_study_of_inference_is_drawn(tmp_path: Path) -> None:
    lines = [line(), line(inference="per-image"), line(accuracy=0.6, **batch(4, "sorted"))]
    plot_inference(records_of(*lines), tmp_path / "inference.png")
    with Image.open(tmp_path / "inference.png") as picture:
        drawn = {color for _, color in picture.convert("RGB").getcolors(2**24) or []}
    for color in COLORS[:3]:
        assert tuple(bytes.fromhex(color[1:])) in drawn
    with pytest.raises(RequestError, match="'batch'"):
        plot_inference(records_of(*lines[:2]), tmp_path / "none.png")


@pytest.mark.parametrize("paper", ["#ffffff", "#191d23"])
@pytest.mark.parametrize("color", COLORS)
def test_every_curve_can_be_seen_on_light_and_on_dark(color: str, paper: str) -> None:
    def luminance(code: str) -> float:
        shares = [value / 255 for value in bytes.fromhex(code[1:])]
        red, green, blue = (
            s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(color), luminance(paper)))
    assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.1, 1.4.11
