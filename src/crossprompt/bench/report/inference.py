"""What the answers depend on: the rule of inference, the size and the order of the test batch."""

from collections.abc import Sequence

from crossprompt.bench.grid import ORDERS
from crossprompt.bench.report.entries import Entry, Measured, measured, minus, over_seeds
from crossprompt.bench.report.panels import Curve, Level, Panel
from crossprompt.bench.report.records import Record, shots_in_words
from crossprompt.bench.report.sections import Card, Section, seeds_of
from crossprompt.bench.report.series import group, rule_in_words
from crossprompt.bench.report.tables import Group, Row, Table, slug

TEXT = (
    "The same trained method, answering by different rules. Calibrated: its prompts are computed "
    "once, from the training images. Per image: each test image is a batch of its own. Batch: as "
    "in the authors' code, prompts are averaged over the test batch, so that size and order of the "
    "test images change the answers. Accuracy in per cent, mean ± standard deviation over the "
    "seeds; differences in points, of each seed from itself, mean ± standard deviation."
)
ALIKE = ("calibrated", "per-image")
"""Rules by which an image is answered alike in any batch."""


def inference(records: Sequence[Record]) -> Section | None:
    """The section, if there are lines with another rule than ``calibrated``.

    Args:
        records: all cells.
    """
    cards = [_card(title, cells) for title, cells in studies(records).items()]
    return Section("inference", "Rules of inference", TEXT, tuple(cards)) if cards else None


def studies(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Title to the cells that differ only in rule and seed, where there is more than one rule."""
    found: dict[str, list[Record]] = {}
    for series in group(records, answers_alone=True):
        for record in series.records:
            cell = record.cell
            protocol = "" if cell.protocol == "few-shot" else f", {cell.protocol}"
            title = f"{series.name} on {cell.dataset}, {shots_in_words(cell.shots)}{protocol}"
            found.setdefault(title, []).append(record)
    return {
        title: cells
        for title, cells in found.items()
        if any(record.cell.inference != "calibrated" for record in cells)
    }


def panel_of(title: str, records: Sequence[Record]) -> Panel | None:
    """Accuracy against the size of the batch, a curve per order; None if no batch was tried.

    Args:
        title: above the panel.
        records: cells that differ only in rule and seed.
    """
    numbers, seeds = by_rule(records), seeds_of(records)
    curves = []
    for order in ORDERS:
        points = [
            (float(cells[0].cell.test_batch_size or 1), _main(cells, seeds))
            for cells in numbers.values()
            if cells[0].cell.batch_order == order
        ]
        if points:
            curves.append(Curve(f"batch, {order}", tuple(points)))
    if not curves:
        return None
    levels = [Level(rule, _main(numbers[rule], seeds)) for rule in ALIKE if rule in numbers]
    sizes = sorted({size for curve in curves for size, _ in curve.points})
    ticks = tuple((size, f"{size:.0f}") for size in sizes)
    return Panel(title, "test images in a batch", ticks, tuple(curves), tuple(levels))


def by_rule(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Rule to the cells of every seed."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(rule_in_words(record.cell), []).append(record)
    return found


def _card(title: str, records: Sequence[Record]) -> Card:
    numbers, seeds = by_rule(records), seeds_of(records)
    sets = list(dict.fromkeys(out.name for record in records for out in record.outcomes))
    reference = _on(numbers.get("calibrated", []), sets[0], seeds)
    rows = []
    for rule, cells in numbers.items():
        found: list[Entry] = [_on(cells, name, seeds) for name in sets]
        first = None if rule == "calibrated" else minus(_on(cells, sets[0], seeds), reference)
        rows.append(Row(rule, (*found, "" if rule == "calibrated" else first)))
    table = Table(
        name=slug("inference", title),
        caption=f"Accuracy (%) by rule of inference, {title}",
        corner="rule",
        columns=(*sets, f"{sets[0]}, minus calibrated"),
        groups=(Group(tuple(rows)),),
        seeds=seeds,
        best=False,
    )
    return Card(title, (table,), panel_of(title, records), wide=True)


def _on(records: Sequence[Record], name: str, seeds: Sequence[int]) -> Measured | None:
    found = {record.cell.seed: record.outcome(name) for record in records}
    return measured({s: out.accuracy for s, out in found.items() if out is not None}, seeds)


def _main(records: Sequence[Record], seeds: Sequence[int]) -> Measured:
    return over_seeds({r.cell.seed: r.outcomes[0].accuracy for r in records}, seeds)
