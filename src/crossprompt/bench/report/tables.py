"""Tables and sections of the report, before they are written in any format."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from itertools import chain, count, repeat
from typing import Any

import pandas as pd

from crossprompt.bench.report.entries import Entry, Measured
from crossprompt.bench.report.plots import Panel


@dataclass(frozen=True)
class Group:
    """Rows that belong together: ours, or those of one source of published numbers."""

    body: pd.DataFrame
    """An ``Entry`` for each row and column."""
    title: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableRow:
    label: str
    entries: tuple[Entry, ...]
    best: tuple[bool, ...]
    """True for the highest mean of a column."""


@dataclass(frozen=True)
class Table:
    name: str
    """Name of its file."""
    caption: str
    groups: tuple[Group, ...]
    """Groups of rows, our own results first."""
    notes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    """Seeds of the numbers, ascending."""
    best: bool = True
    """Mark the highest mean of every column."""
    folded: bool = False
    """Show it only on demand."""
    every_seed: bool = True
    """Show the numbers of every seed on the page, too."""
    sentences: bool = False
    """Let entries run over several lines."""

    @property
    def header(self) -> list[str]:
        body = self.groups[0].body
        return [str(body.index.name), *map(str, body.columns)]

    @cached_property
    def by_group(self) -> list[list[TableRow]]:
        """Rows of every group. Bold is the highest mean as it is shown, if at least two differ."""
        ours = pd.DataFrame(self.groups[0].body.to_numpy()).map(_shown).astype(float)
        best = ours.eq(ours.max()) & (ours.nunique() > 1) & self.best
        marks = chain(best.to_numpy().tolist(), repeat([False] * best.shape[1]))
        return [
            [
                TableRow(str(label), tuple(entries), tuple(next(marks)))
                for label, entries in zip(group.body.index, group.body.to_numpy(), strict=True)
            ]
            for group in self.groups
        ]

    @property
    def rows(self) -> list[TableRow]:
        return list(chain.from_iterable(self.by_group))

    @property
    def all_notes(self) -> list[str]:
        return [*self.notes, *(note for group in self.groups for note in group.notes)]


@dataclass(frozen=True)
class Card:
    """Tables of one data set, or of the average, under an optional picture."""

    title: str
    tables: tuple[Table, ...]
    panel: Panel | None = None
    wide: bool = False


@dataclass(frozen=True)
class Section:
    name: str
    """Anchor in the page, and name of its picture."""
    title: str
    text: str
    """Definition of the numbers."""
    cards: tuple[Card, ...]

    @property
    def tables(self) -> list[Table]:
        return [table for card in self.cards for table in card.tables]

    @property
    def panels(self) -> list[Panel]:
        return [card.panel for card in self.cards if card.panel is not None]


def section(name: str, cards: Sequence[Card]) -> Section | None:
    """Section with the title and the text of ``sections.toml``; None if there are no cards."""
    file = files("crossprompt.bench.report").joinpath("templates", "sections.toml")
    texts = tomllib.loads(file.read_text("utf-8"))[name]
    return Section(name, texts["title"], texts["text"], tuple(cards)) if cards else None


def body_of(
    corner: str, rows: Iterable[str], columns: Iterable[Any], *entries: Mapping[Any, Entry]
) -> pd.DataFrame:
    """Body of a table; of several mappings by row and column, or by row alone, the first counts."""

    def entry(row: str, column: Any) -> Entry:
        places = ((row, column), row)
        found = (mapping[place] for mapping in entries for place in places if place in mapping)
        return next(found, None)

    labels, keys = list(rows), list(columns)
    values = [[entry(row, column) for column in keys] for row in labels]
    index = pd.Index(labels, name=corner, dtype=object)
    return pd.DataFrame(values, index, pd.Index(keys, dtype=object, tupleize_cols=False), object)


def average_note(lacking: Mapping[str, Sequence[str]], what: str) -> tuple[list[str], str]:
    """Test sets that no series lacks, and a note that names them and the others."""
    names = [name for name, who in lacking.items() if not who]
    listed = f"{len(names)} of {len(lacking)} {what}: {', '.join(names) or 'none'}."
    left = [f"{name} (not run: {', '.join(who)})" for name, who in lacking.items() if who]
    more = f" Left out, so that all rows are averages of the same: {'; '.join(left)}."
    return names, f"The average is over {listed}{more if left else ''}"


def with_unique_names(sections: Iterable[Section]) -> list[Section]:
    """Sections whose tables have unique names of lower-case ASCII letters, digits and hyphens."""
    taken: set[str] = set()

    def rename(table: Table) -> Table:
        slug = re.sub(r"[^a-z0-9]+", "-", table.name.lower()).strip("-") or "table"
        names = chain([slug], (f"{slug}-{number}" for number in count(2)))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        return replace(table, name=name)

    def card_of(card: Card) -> Card:
        return replace(card, tables=tuple(map(rename, card.tables)))

    return [replace(part, cards=tuple(map(card_of, part.cards))) for part in sections]


def _shown(entry: Entry) -> float | None:
    return float(entry.number()) if isinstance(entry, Measured) and not entry.signed else None
