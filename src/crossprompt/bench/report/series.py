"""Series: cells that differ only in protocol, data set, shots and seed, under one name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossprompt.bench.grid import ORDERS
from crossprompt.bench.report.merging import merge_targets, split_joint
from crossprompt.bench.report.records import INFERENCE, Cell, Record, canonical
from crossprompt.bench.report.unfinished import Unfinished, limited, state_of
from crossprompt.methods import METHODS


@dataclass(frozen=True)
class Series:
    """One way to train and to answer, over data sets, shots and seeds."""

    name: str
    """The method, and what differs from the others in the results."""
    records: tuple[Record, ...]
    """Its cells, of every protocol."""
    unfinished: tuple[Unfinished, ...] = ()
    """Those that have no result."""

    @property
    def cell(self) -> Cell:
        """One of its cells, for what all have in common."""
        return self.records[0].cell if self.records else self.unfinished[0].cell

    def of(self, protocol: str, dataset: str, shots: int) -> dict[int, Record]:
        """Seed to its cell, by seed."""
        wanted = (protocol, dataset, shots)
        found = {
            record.cell.seed: record
            for record in self.records
            if (record.cell.protocol, record.cell.dataset, record.cell.shots) == wanted
        }
        return dict(sorted(found.items()))

    def limited(self, protocol: str) -> "Series":
        """Its cells of one protocol."""
        kept = tuple(record for record in self.records if record.cell.protocol == protocol)
        return Series(self.name, kept, limited(self.unfinished, protocol))

    def state(self, protocol: str, dataset: str, shots: int) -> str | None:
        """What became of the cells that have no result there; None if there are none."""
        found = limited(self.unfinished, protocol, dataset)
        return state_of(one for one in found if one.cell.shots == shots)


def group(
    records: Sequence[Record],
    *,
    unfinished: Sequence[Unfinished] = (),
    answers_alone: bool = False,
) -> list[Series]:
    """Series in the order of the methods; cells that differ only in their targets are one, and one
    of data sets that were learned together is a cell for each.

    Args:
        records: the cells.
        unfinished: the cells without a result.
        answers_alone: leave the inference rule out, so that the cells of a series also differ
            in it.
    """
    groups: dict[str, list[Record | Unfinished]] = {}
    alone = split_joint(merge_targets(records))
    cells: list[Record | Unfinished] = [*alone, *unfinished]
    for one in sorted(cells, key=lambda one: _order(one.cell)):
        parts = [one.cell.method, *_answer(one.cell).values(), _trained(one.cell)]
        if answers_alone:
            parts = [one.cell.method, _trained(one.cell)]
        groups.setdefault(canonical(parts), []).append(one)
    names = _names([found[0].cell for found in groups.values()], answers_alone)
    return [
        Series(
            name,
            tuple(one for one in found if isinstance(one, Record)),
            tuple(one for one in found if isinstance(one, Unfinished)),
        )
        for name, found in zip(names, groups.values(), strict=True)
    ]


def rule_in_words(cell: Cell) -> str:
    """How a cell answered."""
    if cell.inference == "batch":
        return f"batch of {cell.test_batch_size}, {cell.batch_order}"
    return cell.inference


def _order(cell: Cell) -> tuple[Any, ...]:
    known = list(METHODS)
    place = known.index(cell.method) if cell.method in known else len(known)
    settings = (canonical(cell.options), canonical(cell.training), cell.joint)
    training = (*settings, cell.backbone, cell.dtype)
    order = ORDERS.index(cell.batch_order) if cell.batch_order in ORDERS else 0
    answer = (INFERENCE.index(cell.inference), cell.test_batch_size or 0, order)
    given = (len(cell.options), len(cell.training))  # the method as it is comes first
    return (place, cell.method, *given, *training, *answer, cell.shots, cell.seed)


def _trained(cell: Cell) -> dict[str, Any]:
    """What is trained, apart from the method's name."""
    given = {"options": cell.options, "training": cell.training}
    return {**given, "backbone": cell.backbone, "dtype": cell.dtype, "joint": cell.joint}


def _given(cell: Cell) -> dict[str, Any]:
    """Settings that differ from the defaults and from the recipe."""
    return {**cell.options, **cell.training}


def _answer(cell: Cell) -> dict[str, Any]:
    return {"inference": cell.inference, "size": cell.test_batch_size, "order": cell.batch_order}


def _names(cells: Sequence[Cell], answers_alone: bool) -> list[str]:
    """One name each: the method, and those settings in which it differs from the others."""
    backbones, dtypes = ({getattr(c, kind) for c in cells} for kind in ("backbone", "dtype"))
    names = []
    for cell in cells:
        same_method = [_given(other) for other in cells if other.method == cell.method]
        words = [cell.method]
        words += [
            f"{name}={_word(value)}"
            for name, value in _given(cell).items()
            if any(_differs(other, name, value) for other in same_method)
        ]
        words += [f"({cell.joint} together)"] if cell.joint else []
        words += [cell.backbone] if len(backbones) > 1 else []
        words += [cell.dtype] if len(dtypes) > 1 else []
        if not answers_alone and cell.inference != "calibrated":
            words.append(f"({rule_in_words(cell)})")
        names.append(" ".join(words))
    return names


def _differs(other: Mapping[str, Any], name: str, value: Any) -> bool:
    return name not in other or canonical(other[name]) != canonical(value)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else canonical(value)
    return f'"{text}"' if " " in text else text
