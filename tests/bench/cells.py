"""A cell to be changed by the tests."""

from typing import Any

from crossprompt.bench.cell import Cell


def a_cell(**changes: Any) -> Cell:
    values: dict[str, Any] = {
        "protocol": "few-shot",
        "dataset": "emoji",
        "method": "coop",
        "backbone": "tiny",
        "dtype": "fp32",
        "shots": 1,
        "seed": 1,
    }
    return Cell(**{**values, **changes})
