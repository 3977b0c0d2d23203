"""A report as files."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from crossprompt.bench.report.content import Report
from crossprompt.bench.report.entries import Entry, Measured, Quoted
from crossprompt.bench.report.html import html
from crossprompt.bench.report.latex import FIRST, LONG, latex
from crossprompt.bench.report.markdown import markdown
from crossprompt.bench.report.pictures import save
from crossprompt.bench.report.tables import Row, Table
from crossprompt.errors import RequestError
from crossprompt.utils.files import atomic_write, ensure_writable

FORMATS = ("html", "markdown", "latex")


def write_report(
    report: Report, folder: Path, formats: Collection[str] = FORMATS
) -> dict[str, list[Path]]:
    """Write the files of each format.

    Args:
        report: what to write.
        folder: where to, made if it is not there.
        formats: some of ``FORMATS``.

    Returns:
        Format to its files.

    Raises:
        RequestError: ``folder`` is a file or cannot be written in, or there is no such format.
    """
    writers = {"html": _write_html, "markdown": _write_markdown, "latex": _write_latex}
    if unknown := [name for name in formats if name not in writers]:
        raise RequestError(f"unknown format {unknown[0]!r}; expected {', '.join(FORMATS)}")
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; give a folder for the report")
    ensure_writable(folder)
    return {name: writers[name](report, folder) for name in FORMATS if name in formats}


def to_json(report: Report) -> dict[str, Any]:
    """Everything that the report's tables hold, as plain values; shares from 0 to 1."""
    return {
        "facts": dict(report.facts),
        "notes": list(report.notes),
        "tables": [_table(table) for table in report.tables],
    }


def _write_html(report: Report, folder: Path) -> list[Path]:
    return [_write(folder / "report.html", html(report))]


def _write_markdown(report: Report, folder: Path) -> list[Path]:
    pictures = {section.name: section.panels for section in report.sections if section.panels}
    paths = {name: folder / f"{name}.png" for name in pictures}
    for name, panels in pictures.items():
        save(panels, paths[name])
    text = markdown(report, {name: path.name for name, path in paths.items()})
    return [_write(folder / "report.md", text), *paths.values()]


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


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "caption": table.caption,
        "columns": list(table.columns),
        "groups": [
            {
                "published": group.title,
                "notes": list(group.notes),
                "rows": [_row(row) for row in group.rows],
            }
            for group in table.groups
        ],
        "notes": list(table.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    return {"label": row.label, "entries": _entries(row.entries)}


def _entries(entries: Sequence[Entry]) -> list[Any]:
    return [_entry(entry) for entry in entries]


def _entry(entry: Entry) -> Any:
    if isinstance(entry, Measured):
        return {"mean": entry.mean, "deviation": entry.deviation, "seeds": dict(entry.seeds)}
    if isinstance(entry, Quoted):
        return {"published": round(entry.percent / 100, 6)}
    return entry
