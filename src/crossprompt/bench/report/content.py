"""Everything that a report tells, before it is written in any format."""

from collections import Counter
from dataclasses import dataclass, replace

from crossprompt.bench.report.base_to_new import base_to_new
from crossprompt.bench.report.description import Description, describe
from crossprompt.bench.report.entries import FEWER_SEEDS, MISSING, ONE_SEED, Measured
from crossprompt.bench.report.few_shot import few_shot
from crossprompt.bench.report.inference import inference
from crossprompt.bench.report.per_class import per_class
from crossprompt.bench.report.reading import Results
from crossprompt.bench.report.reasons import reasons
from crossprompt.bench.report.sections import Section, datasets_of, seeds_of
from crossprompt.bench.report.series import group
from crossprompt.bench.report.shifts import cross_dataset, domain_shift
from crossprompt.bench.report.tables import Table, with_unique_names


@dataclass(frozen=True)
class Report:
    """A title, sections of tables and pictures, and what they come from."""

    facts: tuple[tuple[str, str], ...]
    """How much there is, names with values."""
    notes: tuple[str, ...]
    """What the reader must know of the lines."""
    sections: tuple[Section, ...]
    """In order."""
    descriptions: tuple[Description, ...]
    """Of every series."""

    @property
    def tables(self) -> list[Table]:
        """Of all sections, with unique names."""
        return [table for section in self.sections for table in section.tables]


def build_report(results: Results) -> Report:
    """Arrange what was read.

    Args:
        results: cells and notes.
    """
    records = results.records
    whole = group(records, unfinished=results.unfinished)
    series = [one for one in whole if one.records]
    sections = [
        few_shot(whole),
        domain_shift(whole),
        base_to_new(whole),
        cross_dataset(whole),
        inference(records),
        per_class(whole),
        reasons(whole),
    ]
    seeds = ", ".join(map(str, seeds_of(records)))
    facts = {
        "finished cells": f"{len(records):,}",
        **{
            f"{word} cells": f"{count:,}"
            for word, count in Counter(one.state for one in results.unfinished).items()
        },
        "methods": ", ".join(dict.fromkeys(one.cell.method for one in series)),
        "backbones": ", ".join(sorted({record.cell.backbone for record in records})),
        "trained on": ", ".join(datasets_of(records)),
        "seeds": seeds,
    }
    return Report(
        tuple(facts.items()),
        results.notes,
        tuple(_renamed([section for section in sections if section is not None])),
        tuple(describe(one) for one in series),
    )


def legend(tables: list[Table]) -> list[tuple[str, str]]:
    """Marks that occur in the tables, each with what it means."""
    entries = [entry for table in tables for row in table.rows for entry in row.entries]
    marks = {entry.mark for entry in entries if isinstance(entry, Measured)}
    best = any(
        table.is_best(row, column)
        for table in tables
        for row in table.rows
        for column in range(len(table.columns))
    )
    found = [
        (MISSING, "not run; among published numbers: not known to us", None in entries),
        (ONE_SEED, "one seed: its deviation is not known and stands as 0", ONE_SEED in marks),
        (FEWER_SEEDS, "fewer seeds than other numbers here", FEWER_SEEDS in marks),
        ("bold", "the highest mean we measured in its column, by however little", best),
    ]
    return [(mark, meaning) for mark, meaning, there in found if there]


def _renamed(sections: list[Section]) -> list[Section]:
    """The same sections, with names of tables that are unique in the report."""
    names = iter(with_unique_names(table for section in sections for table in section.tables))
    return [
        replace(
            section,
            cards=tuple(
                replace(card, tables=tuple(next(names) for _ in card.tables))
                for card in section.cards
            ),
        )
        for section in sections
    ]
