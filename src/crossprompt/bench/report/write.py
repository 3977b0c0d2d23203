"""Writes a report as files."""

import json
import re
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from crossprompt.bench.report.build import Report, legend
from crossprompt.bench.report.entries import MISSING, Entry, Measured, Quoted, plain
from crossprompt.bench.report.plots import DASHES, MARKERS, save, styles, svg
from crossprompt.bench.report.tables import Table
from crossprompt.errors import RequestError
from crossprompt.utils.files import atomic_write, ensure_writable
from crossprompt.utils.text import one_line

FORMATS = ("html", "markdown", "latex")
FIRST = "% written by crossprompt report; needs \\usepackage{booktabs}"
LONG = "% written by crossprompt report; needs \\usepackage{booktabs,longtable}"
"""First line of a LaTeX table, and of one that may take several pages."""
ROWS = 45
"""Rows of a table that fit on a page."""
LATEX = {character: f"\\{character}" for character in "{}$&#%_"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "*": r"\textasteriskcentered{}",
    "†": r"\dag{}",
    "±": r"$\pm$",
    "\u2013": "--",
}
"""Characters that LaTeX would take for something else, or may have no letter for."""


def write_report(
    report: Report, folder: Path, formats: Collection[str] = FORMATS
) -> dict[str, list[Path]]:
    """Write the files of some of ``FORMATS``; returns their paths by format.

    Raises:
        RequestError: ``folder`` is a file or cannot be written in, or there is no such format.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise RequestError(f"unknown format {unknown[0]!r}; expected {', '.join(FORMATS)}")
    ensure_writable(folder)
    writers: dict[str, Callable[[], list[Path]]] = {
        "html": lambda: [_write(folder / "report.html", html(report))],
        "markdown": lambda: _write_markdown(report, folder),
        "latex": lambda: _write_latex(report, folder),
    }
    return {name: write() for name, write in writers.items() if name in formats}


def html(report: Report) -> str:
    """One page that needs nothing else; every text in it is escaped."""
    looks = {section.name: styles(section.panels) for section in report.sections}
    return _template("report.html").render(
        report=report,
        marks=legend(report.tables),
        looks=looks,
        # drawn by us, and without any text of the lines
        picture=lambda panel, name, section: Markup(svg(panel, name, looks[section])),
        markers=MARKERS,
        dashes=DASHES,
    )


def markdown(report: Report) -> str:
    """One file, with a picture called like its section for each that has panels."""
    return _template("report.md").render(report=report, marks=legend(report.tables)).rstrip() + "\n"


def latex(table: Table) -> str:
    """A file to ``\\input``: a floating table, or a longtable where there are many rows."""
    long, columns = len(table.rows) > ROWS, len(table.header) - 1
    column = rf"p{{{0.75 / columns:.2f}\linewidth}}" if table.sentences else "r"
    first, marks = LONG if long else FIRST, legend([table])
    values = {"table": table, "first": first, "long": long, "column": column, "marks": marks}
    return _template("table.tex").render(values).rstrip() + "\n"


def escape_latex(text: str) -> str:
    """Text that LaTeX shows as it is, on one line."""
    return one_line(text).translate({ord(letter): shown for letter, shown in LATEX.items()})


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = one_line(text).replace("&", "&amp;")
    return re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", line)


def to_json(report: Report) -> dict[str, Any]:
    """Everything that the report's tables hold, as plain values; shares from 0 to 1."""
    return {
        "facts": dict(report.facts),
        "notes": list(report.notes),
        "tables": [_table(table) for table in report.tables],
    }


def _write_markdown(report: Report, folder: Path) -> list[Path]:
    panels = {folder / f"{part.name}.png": part.panels for part in report.sections if part.panels}
    for path, drawn in panels.items():
        save(drawn, path)
    return [_write(folder / "report.md", markdown(report)), *panels]


def _write_latex(report: Report, folder: Path) -> list[Path]:
    tables = folder / "tables"
    tables.mkdir(exist_ok=True)
    written = [_write(tables / f"{table.name}.tex", latex(table)) for table in report.tables]
    for old in set(tables.glob("*.tex")) - set(written):
        if old.read_text("utf-8", errors="replace").split("\n", 1)[0] in (FIRST, LONG):
            old.unlink()  # ours, of a table that is no longer in the report
    return written


def _write(path: Path, text: str) -> Path:
    atomic_write(path, lambda partial: partial.write_text(text, "utf-8", newline="\n"))
    return path


@cache
def _template(name: str) -> Template:
    """Template with its filters; that of LaTeX has ``<< >>`` and ``<% %>`` in place of braces."""
    brackets = ("<%", "%>", "<<", ">>") if name.endswith(".tex") else ("{%", "%}", "{{", "}}")
    environment = Environment(
        *brackets,
        loader=PackageLoader("crossprompt.bench.report"),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "grid": _grid,
        "md": escape_markdown,
        "plain": plain,
        "pretty": lambda settings: json.dumps(settings, indent=2, ensure_ascii=False),
        "seeds": _every_seed,
        "tex": escape_latex,
    }
    return environment.get_template(name)


def _every_seed(entry: Entry, expected: tuple[int, ...]) -> str:
    """The number of every seed, in order, with a dash for one that was not run."""
    if not isinstance(entry, Measured):
        return plain(entry)
    return " · ".join(entry.number(seed) if seed in entry.seeds else MISSING for seed in expected)


def _grid(table: Table) -> list[str]:
    """Lines of a Markdown table that reads well as it is: numbers stand to the right."""
    rows, titles = [[escape_markdown(cell) for cell in table.header]], []
    for group, group_rows in zip(table.groups, table.by_group, strict=True):
        if group.title is not None:
            titles.append(f"*{escape_markdown(group.title)}*")
            rows.append([titles[-1], *("" for _ in table.header[1:])])
        for row in group_rows:
            texts = [escape_markdown(plain(entry)) for entry in row.entries]
            marked = [f"**{x}**" if best else x for x, best in zip(texts, row.best, strict=True)]
            rows.append([escape_markdown(row.label), *marked])
    widths = [
        max(3, *(len(cell) for cell in column if cell not in titles))
        for column in zip(*rows, strict=True)
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        for row in (rows[0], rule, *rows[1:])
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


def _table(table: Table) -> dict[str, Any]:
    groups = [
        {
            "published": group.title,
            "notes": list(group.notes),
            "rows": [{"label": r.label, "entries": list(map(_entry, r.entries))} for r in rows],
        }
        for group, rows in zip(table.groups, table.by_group, strict=True)
    ]
    about = {"name": table.name, "caption": table.caption, "columns": table.header[1:]}
    return {**about, "groups": groups, "notes": list(table.notes)}


def _entry(entry: Entry) -> Any:
    if isinstance(entry, Measured):
        return {"mean": entry.mean, "deviation": entry.deviation, "seeds": dict(entry.seeds)}
    return {"published": round(entry.percent / 100, 6)} if isinstance(entry, Quoted) else entry
