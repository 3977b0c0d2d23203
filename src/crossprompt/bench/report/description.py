"""What a series was computed with: settings, weights, data, versions and machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossprompt.bench.report.records import Cell, Record, canonical, shots_in_words
from crossprompt.bench.report.series import Series, rule_in_words


@dataclass(frozen=True)
class Description:
    """Of one series."""

    name: str
    """Of the series."""
    facts: tuple[tuple[str, str], ...]
    """Names with values in words."""
    settings: tuple[tuple[str, Mapping[str, Any]], ...]
    """Cells in words with the full settings that they have in common, the seed left out."""


def describe(series: Series) -> Description:
    """Gather from all cells of a series.

    Args:
        series: what to describe.
    """
    records, cell = series.records, series.cell
    facts = {
        "method": cell.method,
        "backbone": cell.backbone,
        "computed in": cell.dtype,
        "inference": rule_in_words(cell),
        "weights (hash)": _each(record.weights_hash for record in records),
        "data (fingerprints)": _each(
            f"{record.cell.dataset}: {record.data_fingerprint}" for record in records
        ),
        "seeds": _each(str(record.cell.seed) for record in records),
        "trained parameters": _range([record.trained_parameters for record in records]),
        "classifier": f"{_range([record.classifier_bytes for record in records])} bytes",
        "seconds": ", ".join(_seconds(records)),
        "versions": _each(f"{k} {v}" for record in records for k, v in record.versions.items()),
        "machine": _each(record.machine for record in records),
    }
    return Description(series.name, tuple(facts.items()), tuple(_settings(records)))


def _settings(records: Sequence[Record]) -> list[tuple[str, Mapping[str, Any]]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(canonical(_without_seed(record.settings)), []).append(record)
    return [
        (_which([record.cell for record in found]), _without_seed(found[0].settings))
        for found in groups.values()
    ]


def _without_seed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The seed is in the cell; the rest is the same for all seeds."""
    training = {k: v for k, v in dict(settings.get("training", {})).items() if k != "seed"}
    return {**settings, "training": training}


def _which(cells: Sequence[Cell]) -> str:
    """Data sets and shots in words."""
    shots = sorted({cell.shots for cell in cells})
    protocols = _each(cell.protocol for cell in cells)
    datasets = _each(cell.dataset for cell in cells)
    return f"{protocols}: {datasets}; {shots_in_words(*shots)}"


def _each(values: Any) -> str:
    """Every value once, in order."""
    return ", ".join(dict.fromkeys(values))


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _seconds(records: Sequence[Record]) -> list[str]:
    """Mean over the cells."""
    names = dict.fromkeys(name for record in records for name in record.seconds)
    return [
        f"{name} {sum(r.seconds.get(name, 0.0) for r in records) / len(records):,.1f}"
        for name in names
    ]
