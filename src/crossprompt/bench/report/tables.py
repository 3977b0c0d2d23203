"""A table of the report, before it is written as HTML, Markdown or LaTeX."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

from crossprompt.bench.report.entries import Entry, Measured, average


@dataclass(frozen=True)
class Row:
    """One series, class or published method."""

    label: str
    """Its name."""
    entries: tuple[Entry, ...]
    """One per column."""


@dataclass(frozen=True)
class Group:
    """Rows that belong together."""

    rows: tuple[Row, ...]
    """At least one."""
    title: str | None = None
    """A line above them."""
    notes: tuple[str, ...] = ()
    """Where they come from."""


@dataclass(frozen=True)
class Table:
    """Numbers under a caption."""

    name: str
    """Of its file, unique in the report."""
    caption: str
    """What is shown, in one sentence."""
    corner: str
    """What the rows are."""
    columns: tuple[str, ...]
    """Their headers."""
    groups: tuple[Group, ...]
    """Ours first."""
    notes: tuple[str, ...] = ()
    """Below it."""
    seeds: tuple[int, ...] = ()
    """Of the numbers, in order."""
    best: bool = True
    """Whether the highest mean of every column is marked."""
    folded: bool = False
    """Whether it is shown only on demand."""
    every_seed: bool = True
    """Whether the page also has every seed's numbers."""
    words: bool = False
    """Whether its entries are sentences, which run over several lines."""

    @property
    def rows(self) -> list[Row]:
        """Of all groups."""
        return [row for group in self.groups for row in group.rows]

    def is_best(self, row: Row, column: int) -> bool:
        """Whether an entry is the highest mean of its column, of at least two that differ."""
        found = _shown(row.entries[column]) if self.best else None
        if found is None:
            return False
        numbers = {_shown(other.entries[column]) for other in self.rows} - {None}
        return len(numbers) > 1 and found == max(number for number in numbers if number is not None)


@dataclass(frozen=True)
class Shared:
    """The test sets over which series are compared on average."""

    names: tuple[str, ...]
    """Those that every series has."""
    note: str
    """Which they are, and which are left out and why."""


def share(lacking: Mapping[str, Sequence[str]], what: str) -> Shared:
    """The test sets that all series have.

    Args:
        lacking: every test set, with the series that have no result there.
        what: what test sets are called, in the plural.
    """
    names = tuple(name for name, who in lacking.items() if not who)
    listed = f"{len(names)} of {len(lacking)} {what}: {', '.join(names) or 'none'}."
    left = [f"{name} (not run: {', '.join(who)})" for name, who in lacking.items() if who]
    more = f" Left out, so that all rows are averages of the same: {'; '.join(left)}."
    return Shared(names, f"The average is over {listed}{more if left else ''}")


def average_of(
    shared: Shared, parts: dict[str, Measured | None], expected: Sequence[int]
) -> Measured | None:
    """The average over the test sets that all series have.

    Args:
        shared: which they are.
        parts: test set to number.
        expected: every seed of the protocol.
    """
    return average([parts[name] for name in shared.names], expected)


def slug(*words: str) -> str:
    """A name for a file, without anything that a path or LaTeX could stumble over."""
    text = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower())
    return text.strip("-") or "table"


def with_unique_names(tables: Iterable[Table]) -> list[Table]:
    """The tables, with a number behind the name where two would be called the same."""
    taken: set[str] = set()
    renamed = []
    for table in tables:
        names = chain([table.name], (f"{table.name}-{number}" for number in count(2)))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        renamed.append(replace(table, name=name))
    return renamed


def _shown(entry: Entry) -> float | None:
    return float(entry.number()) if isinstance(entry, Measured) and not entry.signed else None
