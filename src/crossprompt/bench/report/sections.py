"""The parts of a report, before they are written as HTML or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from crossprompt.bench.report.panels import Panel
from crossprompt.bench.report.records import Record
from crossprompt.bench.report.series import Series
from crossprompt.bench.report.tables import Table


@dataclass(frozen=True)
class Card:
    """What is told of one data set, or of the average."""

    title: str
    """Its heading; may be empty where the section has only one card."""
    tables: tuple[Table, ...]
    """In order."""
    panel: Panel | None = None
    """The picture above them."""
    wide: bool = False
    """Whether it takes the whole width."""


@dataclass(frozen=True)
class Section:
    """What is told of one protocol."""

    name: str
    """Of its place in the page and of its picture."""
    title: str
    """Its heading."""
    text: str
    """What the numbers are."""
    cards: tuple[Card, ...]
    """At least one."""

    @property
    def tables(self) -> list[Table]:
        """Of all cards."""
        return [table for card in self.cards for table in card.tables]

    @property
    def panels(self) -> list[Panel]:
        """Of all cards."""
        return [card.panel for card in self.cards if card.panel is not None]


def of_protocol(series: Sequence[Series], protocol: str) -> list[Series]:
    """Series with the cells of one protocol that are answered by frozen prompts, if they have any.

    What was answered by another rule depends on the test batch, and stands in the study of
    inference alone.
    """
    kept = [found.limited(protocol) for found in series if found.cell.inference == "calibrated"]
    return [found for found in kept if found.records or found.unfinished]


def seeds_of(records: Sequence[Record]) -> tuple[int, ...]:
    """Every seed, in order."""
    return tuple(sorted({record.cell.seed for record in records}))


def datasets_of(records: Sequence[Record]) -> list[str]:
    """Every data set trained on, in alphabetical order."""
    return sorted({record.cell.dataset for record in records})


def shots_of(records: Sequence[Record]) -> list[int]:
    """Every number of shots, in order."""
    return sorted({record.cell.shots for record in records})


def all_records(series: Sequence[Series]) -> list[Record]:
    """Cells of all series."""
    return [record for found in series for record in found.records]
