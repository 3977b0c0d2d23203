"""Dependence of the answers on the inference mode, and on size and order of the test batch."""

from pathlib import Path

import pandas as pd

from crossprompt.bench.grid import ORDERS
from crossprompt.bench.report.entries import Entry, measure, minus
from crossprompt.bench.report.load import count_shots
from crossprompt.bench.report.plots import Panel, save
from crossprompt.bench.report.series import arrange, seeds_of
from crossprompt.bench.report.tables import Card, Group, Section, Table, body_of, section
from crossprompt.errors import RequestError

ALIKE = ("calibrated", "per-image")
"""Inference modes that score an image alike in any batch."""


def inference(records: pd.DataFrame) -> Section | None:
    """The section, if a method answered in more modes than ``calibrated``."""
    return section("inference", [_card(*study) for study in studies(records).items()])


def plot_inference(records: pd.DataFrame, path: Path) -> None:
    """Draw accuracy by inference mode, and by size and order of the test batch.

    Args:
        records: finished runs; a panel for each trained method that answered in batches.
        path: of the picture.

    Raises:
        RequestError: no run answered in batches.
    """
    panels = [panel for study in studies(records).items() if (panel := panel_of(*study))]
    if not panels:
        raise RequestError("no run has the inference 'batch'; run crossprompt bench with it too")
    save(panels, path)


def studies(records: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Runs by title that differ only in inference mode and seed, if not all are calibrated."""
    scores = arrange(records, across_inference=True)
    where = ["series", "dataset", "shots", "protocol"]
    found = {}
    for (series, dataset, shots, protocol), rows in scores.groupby(where, sort=False):
        if (rows.inference != "calibrated").any():
            more = "" if protocol == "few-shot" else f", {protocol}"
            found[f"{series} on {dataset}, {count_shots(shots)}{more}"] = rows
    return found


def panel_of(title: str, scores: pd.DataFrame) -> Panel | None:
    """Accuracy against the size of the batch, a curve per order; None if no batch was tried."""
    main, seeds = scores[scores.main], scores.seed.nunique()
    batches = measure(main, ["batch_order", "test_batch_size"], seeds)
    modes = measure(main, ["rule"], seeds)
    levels = {mode: modes[mode] for mode in ALIKE if mode in modes}
    sizes = sorted({size for _, size in batches})
    body = body_of("order", ORDERS, sizes, batches).rename("batch, {}".format)
    return Panel(title, "test images in a batch", body, levels) if batches else None


def _card(title: str, scores: pd.DataFrame) -> Card:
    seeds, sets = seeds_of(scores), list(scores.test.unique())
    numbers = measure(scores, ["rule", "test"], len(seeds))
    reference, last = numbers.get(("calibrated", sets[0])), f"{sets[0]}, minus calibrated"
    rules = scores.rule.unique()
    differences: dict[tuple[str, str], Entry] = {
        (x, last): "" if x == "calibrated" else minus(numbers.get((x, sets[0])), reference)
        for x in rules
    }
    table = Table(
        name=f"inference {title}",
        caption=f"Accuracy (%) by rule of inference, {title}",
        groups=(Group(body_of("rule", rules, [*sets, last], differences, numbers)),),
        seeds=seeds,
        best=False,
    )
    return Card(title, (table,), panel_of(title, scores), wide=True)
