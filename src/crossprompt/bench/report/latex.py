"""Tables as LaTeX, with booktabs."""

from crossprompt.bench.report.content import legend
from crossprompt.bench.report.entries import Entry, Measured, plain
from crossprompt.bench.report.tables import Group, Row, Table
from crossprompt.utils.text import one_line

FIRST = "% written by crossprompt report; needs \\usepackage{booktabs}"
"""The first line of every file."""
LONG = "% written by crossprompt report; needs \\usepackage{booktabs,longtable}"
"""The same, of a table that may take several pages."""
ROWS = 45
"""That fit on a page."""
ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u2013": "--",
    "±": r"$\pm$",
    "†": r"\dag{}",
    "*": r"\textasteriskcentered{}",
}
"""What LaTeX would take for something else, or may have no letter for."""


def latex(table: Table) -> str:
    """A file to ``\\input``: a floating table, or a longtable where there are many rows.

    Args:
        table: what to write.
    """
    columns = len(table.columns) + 1
    head = " & ".join(escape(word) for word in (table.corner, *table.columns)) + r" \\"
    body = [line for group in table.groups for line in _group(table, group, columns)][1:]
    label = [rf"\caption{{{escape(table.caption)}}}", rf"\label{{tab:{table.name}}}"]
    column = rf"p{{{0.75 / len(table.columns):.2f}\linewidth}}" if table.words else "r"
    shape = "l" + column * len(table.columns)
    notes = [rf"\par\smallskip{{\footnotesize {' '.join(_notes(table))}\par}}"]
    if len(table.rows) > ROWS:
        begin = [LONG, rf"\begin{{longtable}}{{{shape}}}", *label[:1], label[1] + r"\\"]
        top = [r"\toprule", head, r"\midrule", r"\endhead"]
        end = [r"\bottomrule", r"\end{longtable}", *notes]
    else:
        begin = [
            FIRST,
            r"\begin{table}",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            *label,
            rf"\begin{{tabular}}{{{shape}}}",
        ]
        top = [r"\toprule", head, r"\midrule"]
        end = [r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"]
    return "\n".join([*begin, *top, *body, *end]) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX shows as it is, on one line."""
    return "".join(ESCAPES.get(letter, letter) for letter in one_line(text))


def _group(table: Table, group: Group, columns: int) -> list[str]:
    lines = [r"\midrule"]
    if group.title is not None:
        lines.append(rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{escape(group.title)}}}}} \\")
    return [*lines, *(_row(table, row) for row in group.rows)]


def _row(table: Table, row: Row) -> str:
    cells = [_entry(entry, table.is_best(row, column)) for column, entry in enumerate(row.entries)]
    return " & ".join([escape(row.label), *cells]) + r" \\"


def _entry(entry: Entry, best: bool) -> str:
    if not isinstance(entry, Measured):
        return escape(plain(entry))
    number = rf"\textbf{{{entry.number()}}}" if best else entry.number()
    return rf"{number} $\pm$ {entry.spread()}{escape(entry.mark)}"


def _notes(table: Table) -> list[str]:
    groups = [note for group in table.groups for note in group.notes]
    seeds = f"Seeds {', '.join(map(str, table.seeds))}."
    marks = [f"{mark}: {meaning}." for mark, meaning in legend([table])]
    return [escape(note) for note in (*table.notes, *groups, seeds, *marks)]
