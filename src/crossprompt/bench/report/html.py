"""The report as one page that needs nothing else."""

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crossprompt.bench.report.content import Report, legend
from crossprompt.bench.report.entries import MISSING, Entry, Measured, plain
from crossprompt.bench.report.pictures import DASHES, MARKERS, styles, svg
from crossprompt.bench.report.sections import Section


def html(report: Report) -> str:
    """The whole page; every text in it is escaped.

    Args:
        report: what to write.
    """
    environment = Environment(
        loader=PackageLoader("crossprompt.bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "pretty": pretty, "seeds": seeds}
    environment.tests["measured"] = lambda entry: isinstance(entry, Measured)
    return environment.get_template("report.html").render(
        report=report,
        marks=legend(report.tables),
        looks={section.name: styles(section.panels) for section in report.sections},
        pictures={section.name: _pictures(section) for section in report.sections},
        markers=MARKERS,
        dashes=DASHES,
    )


def pretty(settings: Mapping[str, Any]) -> str:
    """Settings as indented JSON."""
    return json.dumps(settings, indent=2, ensure_ascii=False)


def seeds(entry: Entry, expected: tuple[int, ...]) -> str:
    """The number of every seed, in order, with a dash for one that was not run."""
    if not isinstance(entry, Measured):
        return plain(entry)
    sign = "+" if entry.signed else ""
    return " · ".join(
        f"{100 * entry.seeds[seed]:{sign}.2f}" if seed in entry.seeds else MISSING
        for seed in expected
    )


def _pictures(section: Section) -> list[Markup | None]:
    """One per card; drawn by us, and without any text of the lines."""
    looks = styles(section.panels)
    return [
        None if card.panel is None else Markup(svg(card.panel, f"{section.name}-{place}", looks))
        for place, card in enumerate(section.cards)
    ]
