"""Read the lines of a results folder."""

from dataclasses import dataclass
from pathlib import Path

from crossprompt.bench.report.merging import differing_results
from crossprompt.bench.report.records import Record, parse, shots_in_words
from crossprompt.bench.report.unfinished import Unfinished, read_unfinished
from crossprompt.bench.results import LINES
from crossprompt.errors import RequestError


@dataclass(frozen=True)
class Results:
    """What a results folder holds."""

    records: tuple[Record, ...]
    """One per cell."""
    notes: tuple[str, ...]
    """Sentences for the reader: what was left out, and what does not fit together."""
    unfinished: tuple[Unfinished, ...] = ()
    """Cells that were asked for and have no line."""


def read_results(folder: Path) -> Results:
    """Read every finished cell.

    A last line without its end was being written when the writer stopped: it is left out with a
    note. Of several lines of one cell the last counts, with a note.

    Args:
        folder: of the results, or its ``lines.jsonl`` itself.

    Raises:
        RequestError: there are no lines, or one is malformed; the file and the line are named.
    """
    path = folder if folder.is_file() else folder / LINES
    if not path.is_file():
        raise RequestError(
            f"found no {LINES} in {folder}; give the folder that crossprompt bench wrote, its "
            "--output"
        )
    lines, notes = path.read_bytes().split(b"\n"), []
    if lines.pop():
        notes.append(
            f"The last line of {path} (line {len(lines) + 1}) has no end: it was being written "
            "when the writer stopped, and is left out. crossprompt bench computes its cell anew."
        )
    numbers: dict[str, int] = {}
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = parse(line, f"{path}, line {number}")
        cell = record.cell
        if cell.key in numbers:
            notes.append(
                f"Lines {numbers[cell.key]} and {number} of {path} are of the same cell "
                f"({cell.method} on {cell.dataset}, {shots_in_words(cell.shots)}, seed "
                f"{cell.seed}); the last one counts."
            )
        numbers[cell.key], records[cell.key] = number, record
    if not records:
        raise RequestError(f"{path} holds no finished cell yet; run crossprompt bench first")
    notes += disagreements(list(records.values()))
    unfinished = read_unfinished(path.parent, records.keys())
    return Results(tuple(records.values()), tuple(notes), unfinished)


def disagreements(records: list[Record]) -> list[str]:
    """Sentences on what bears one name but is not one thing, and so cannot be compared."""
    weights: dict[str, set[str]] = {}
    data: dict[tuple[str, str], set[str]] = {}
    for record in records:
        cell = record.cell
        weights.setdefault(cell.backbone, set()).add(record.weights_hash)
        data.setdefault((cell.protocol, cell.dataset), set()).add(record.data_fingerprint)
    return [
        *(
            f"Lines of the backbone {name} come from {len(found)} different sets of weights "
            f"({_listed(found)}): their numbers do not compare."
            for name, found in weights.items()
            if len(found) > 1
        ),
        *(
            f"Lines of the data set {name} ({protocol}) come from {len(found)} different versions "
            f"of it (fingerprints {_listed(found)}): their numbers do not compare."
            for (protocol, name), found in data.items()
            if len(found) > 1
        ),
        *differing_results(records),
    ]


def _listed(hashes: set[str]) -> str:
    return ", ".join(sorted(value[:12] for value in hashes))
