"""Series: runs that differ only in protocol, data set, shots and seed, under one name."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from crossprompt.bench.grid import ORDERS
from crossprompt.bench.loaders import JOINT
from crossprompt.bench.report.load import INFERENCE, to_scores
from crossprompt.methods import METHODS


def arrange(
    records: pd.DataFrame, unfinished: pd.DataFrame | None = None, *, across_inference: bool = False
) -> pd.DataFrame:
    """Table with a row per run and test set, in the order of the report.

    Runs that differ only in their targets are merged; a run on several data sets that were
    trained together is split into one for each.

    Args:
        records: finished runs.
        unfinished: runs without a result; a row each, whose ``accuracy`` is missing.
        across_inference: whether runs that differ only in the inference mode are one series.

    Returns:
        The columns of ``to_scores`` with ``series`` (a name), ``rule`` (the inference mode as
        text), ``main`` (whether the row is of the run's first test set) and ``joint`` (the data
        sets that were trained together, if so).
    """
    scores = to_scores(records).drop_duplicates(["run", "test_dataset", "test"])
    scores = _split_joint(scores.reset_index(drop=True))
    scores["main"] = ~scores.duplicated(["run", "dataset"])
    if unfinished is not None:
        scores = pd.concat([scores, unfinished.assign(joint="", main=False)], ignore_index=True)
    scores["rule"] = [_rule(row) for row in scores.itertuples()]
    rows = sorted(scores.itertuples(), key=_order)
    keys = [
        canonical(
            [x.method, x.options, x.training, x.backbone, x.dtype, x.joint]
            + [x.rule] * (not across_inference)
        )
        for x in rows
    ]
    first = dict(zip(reversed(keys), reversed(rows), strict=True))
    runs = [first[key] for key in dict.fromkeys(keys)]
    names = dict(zip(dict.fromkeys(keys), _names(runs, across_inference), strict=True))
    ordered = scores.iloc[[row.Index for row in rows]]
    return ordered.assign(series=[names[key] for key in keys]).reset_index(drop=True)


def finished(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows with a result."""
    return scores[scores.accuracy.notna()]


def of_protocol(scores: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Rows of one protocol in the default inference mode; the others are a study of their own."""
    return scores[(scores.protocol == protocol) & (scores.inference == "calibrated")]


def seeds_of(scores: pd.DataFrame) -> tuple[int, ...]:
    """Every seed, ascending."""
    return tuple(sorted(scores.seed.unique()))


def canonical(value: Any) -> str:
    """JSON, the same for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _split_joint(scores: pd.DataFrame) -> pd.DataFrame:
    """Give each row of a joint source to the data set that it was tested on."""
    parts = scores.groupby("run").test_dataset.transform(lambda found: JOINT.join(found.unique()))
    joint = (parts == scores.dataset) & (scores.test_dataset != scores.dataset)
    scores["joint"] = scores.dataset.where(joint, "")
    scores["dataset"] = scores.test_dataset.where(joint, scores.dataset)
    for row in scores[joint].itertuples():
        place = row.joint.split(JOINT).index(row.dataset)
        scores.at[row.Index, "data_fingerprint"] = row.data_fingerprint.split(JOINT)[place]
    return scores


def _rule(run: Any) -> str:
    """Inference mode as text."""
    if run.inference == "batch":
        return f"batch of {run.test_batch_size}, {run.batch_order}"
    return str(run.inference)


def _order(run: Any) -> tuple[Any, ...]:
    known = list(METHODS)
    place = known.index(run.method) if run.method in known else len(known)
    given = (len(run.options), len(run.training))  # the method as it is comes first
    settings = (canonical(run.options), canonical(run.training), run.joint, run.backbone, run.dtype)
    order = ORDERS.index(run.batch_order or ORDERS[0])
    inference = (INFERENCE.index(run.inference), run.test_batch_size or 0, order)
    return (place, run.method, *given, *settings, *inference, run.shots, run.seed)


def _names(runs: Sequence[Any], across_inference: bool) -> list[str]:
    """Name of each series: the method, and those settings in which it differs from the others."""
    backbones, dtypes = {run.backbone for run in runs}, {run.dtype for run in runs}
    given = [
        {name: _setting_text(value) for name, value in {**run.options, **run.training}.items()}
        for run in runs
    ]
    names = []
    for run, settings in zip(runs, given, strict=True):
        others = [x for other, x in zip(runs, given, strict=True) if other.method == run.method]
        parts = [run.method]
        parts += [
            f"{name}={value}"
            for name, value in settings.items()
            if any(other.get(name) != value for other in others)
        ]
        parts += [f"({run.joint} together)"] if run.joint else []
        parts += [run.backbone] if len(backbones) > 1 else []
        parts += [run.dtype] if len(dtypes) > 1 else []
        parts += [f"({run.rule})"] * (not across_inference and run.rule != "calibrated")
        names.append(" ".join(parts))
    return names


def _setting_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else canonical(value)
    return f'"{text}"' if " " in text else text
