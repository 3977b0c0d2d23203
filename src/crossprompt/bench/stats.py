"""Statistics over seeds."""

from collections.abc import Sequence
from statistics import stdev


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample (n - 1); 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0
