"""The report as Markdown."""

import re
from collections.abc import Mapping, Sequence

from crossprompt.bench.report.content import Report, legend
from crossprompt.bench.report.entries import Entry, plain
from crossprompt.bench.report.sections import Card, Section
from crossprompt.bench.report.tables import Group, Row, Table
from crossprompt.utils.text import one_line


def markdown(report: Report, pictures: Mapping[str, str]) -> str:
    """The whole file.

    Args:
        report: what to write.
        pictures: section's name to its picture, as linked.
    """
    lines = ["# Results", ""]
    lines += [f"- {name}: {escape(value)}" for name, value in report.facts]
    lines += [f"- **Note:** {escape(note)}" for note in report.notes]
    marks = "; ".join(f"{escape(mark)}: {meaning}" for mark, meaning in legend(report.tables))
    lines += ["", f"Marks: {marks}." if marks else ""]
    for section in report.sections:
        lines += _section(section, pictures.get(section.name))
    return "\n".join(lines).rstrip() + "\n"


def table_lines(table: Table) -> list[str]:
    """A table that reads well as it is, with its caption above and its notes below."""
    head = [table.corner, *table.columns]
    rows = [row for group in table.groups for row in _group(table, group)]
    cells = [[escape(cell) for cell in head], *rows]
    titles = {f"*{escape(group.title)}*" for group in table.groups if group.title is not None}
    widths = [
        max(3, *(len(row[place]) for row in cells if row[place] not in titles))
        for place in range(len(head))
    ]
    padded = [
        [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in cells
    ]
    rule = ["-" * (width - 1) + ":" if place else "-" * width for place, width in enumerate(widths)]
    lines = [f"| {' | '.join(row)} |" for row in (padded[0], rule, *padded[1:])]
    notes = [note for group in table.groups for note in group.notes]
    below = [line for note in (*table.notes, *notes) for line in ("", escape(note))]
    return ["", f"**{escape(table.caption)}**", "", *lines, *below]


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = one_line(text).replace("&", "&amp;")
    return re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", line)


def _section(section: Section, picture: str | None) -> list[str]:
    lines = ["", f"## {section.title}", "", escape(section.text)]
    if picture is not None:
        what = "; ".join(panel.description for panel in section.panels)
        lines += ["", f"![{escape(what)}]({picture})"]
    return lines + [line for card in section.cards for line in _card(card)]


def _card(card: Card) -> list[str]:
    lines = ["", f"### {escape(card.title)}"] if card.title else []
    for table in card.tables:
        shown = table_lines(table)
        if table.folded:
            summary = f"<details><summary>{len(table.rows)} rows</summary>"
            shown = [*shown[:2], "", summary, *shown[2:], "", "</details>"]
        lines += shown
    return lines


def _group(table: Table, group: Group) -> list[list[str]]:
    rows = []
    if group.title is not None:
        rows.append([f"*{escape(group.title)}*", *("" for _ in table.columns)])
    return rows + [_row(table, row) for row in group.rows]


def _row(table: Table, row: Row) -> list[str]:
    entries: Sequence[tuple[int, Entry]] = list(enumerate(row.entries))
    return [
        escape(row.label),
        *(
            f"**{escape(plain(entry))}**" if table.is_best(row, column) else escape(plain(entry))
            for column, entry in entries
        ),
    ]
